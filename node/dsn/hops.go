package dsn

import (
	"bytes"
	"mime"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// fieldsOf gives the bodies of the header fields of a name, unfolded, from the top.
func fieldsOf(header []byte, name string) []string {
	var list []string
	open := false
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if open {
				list[len(list)-1] += " " + strings.TrimSpace(string(line))
			}
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if open = ok && strings.EqualFold(strings.TrimSpace(string(key)), name); open {
			list = append(list, strings.TrimSpace(string(value)))
		}
	}
	return list
}

// subjectOf is the subject as people read it, "" if there is none.
func subjectOf(header []byte) string {
	list := fieldsOf(header, "Subject")
	if len(list) == 0 {
		return ""
	}
	if s, err := new(mime.WordDecoder).DecodeHeader(list[0]); err == nil {
		return s
	}
	return list[0]
}

// pass is one host that took the message.
type pass struct {
	from, by string
	at       time.Time // zero if it cannot be read
}

// maxPasses bounds the list for people; of a loop the last ones tell.
const maxPasses = 20

// passes reads the trace fields (RFC 5321 section 4.4), the first host first.
// Whoever sent the message may have written some of them.
func passes(header []byte) []pass {
	var list []pass
	received := fieldsOf(header, "Received")
	for i := len(received) - 1; i >= 0; i-- {
		text, date := received[i], ""
		if k := strings.LastIndexByte(text, ';'); k >= 0 {
			text, date = text[:k], text[k+1:]
		}
		p := pass{from: wordAfter(text, "from"), by: wordAfter(text, "by")}
		if t, err := mail.ParseDate(strings.TrimSpace(date)); err == nil {
			p.at = t
		}
		if p.by != "" || p.from != "" {
			list = append(list, p)
		}
	}
	if n := len(list); n > maxPasses {
		list = list[n-maxPasses:]
	}
	return list
}

// wordAfter is the word that follows a keyword outside of comments.
func wordAfter(text, key string) string {
	depth, next := 0, false
	for word := range strings.FieldsSeq(text) {
		if depth == 0 && next {
			return word
		}
		next = depth == 0 && strings.EqualFold(word, key)
		depth = max(0, depth+strings.Count(word, "(")-strings.Count(word, ")"))
	}
	return ""
}

// line is the pass in words; before is the one that came before it.
func (p pass) line(before *pass) string {
	s := "(no time)"
	if !p.at.IsZero() {
		s = date(p.at)
	}
	switch {
	case p.by == "":
		s += ": from " + p.from
	case p.from == "":
		s += ": " + p.by
	default:
		s += ": " + p.by + ", from " + p.from
	}
	if before != nil && !before.at.IsZero() && !p.at.IsZero() {
		if d := p.at.Sub(before.at); d >= time.Second {
			s += " (" + spoken(d) + " later)"
		}
	}
	return s
}

// spoken is a duration of a second or more in words: of its two largest units, the
// second only where it counts.
func spoken(d time.Duration) string {
	units := [...]struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
	d = d.Round(time.Second)
	i := 0
	for units[i].d > d {
		i++
	}
	var words []string
	for _, u := range units[i:min(i+2, len(units))] {
		n := d / u.d
		d -= n * u.d
		switch {
		case n == 1:
			words = append(words, "1 "+u.name)
		case n > 1:
			words = append(words, strconv.Itoa(int(n))+" "+u.name+"s")
		}
	}
	return strings.Join(words, " ")
}
