package submit

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
)

// header reads a message's header line by line and keeps the little that
// transport needs of it: memory does not grow with the header.
type header struct {
	received     int // Received fields
	own          int // those with mark
	hasDate      bool
	hasMessageID bool
	priority     mail.Priority

	mark    []byte // of this node; nil: not looked for
	inTrace bool   // the current field is a Received field without mark so far

	inField   bool // a continuation line may follow
	inID      bool // the current field is the first Message-ID
	messageID []byte

	nature nature // of the whole message
}

// maxMessageID bounds what is kept of a Message-ID, in octets; RFC 5322 section
// 2.1.1 allows a line no more.
const maxMessageID = 998

// line takes the next line, with or without its end, and says whether it is
// still part of the header. The empty line is not.
func (h *header) line(l []byte) bool {
	l = bytes.TrimRight(l, "\r\n")
	if len(l) == 0 {
		return false
	}
	if l[0] == ' ' || l[0] == '\t' {
		if h.inField && h.inID {
			h.keepID(l)
		}
		if h.inField && h.inTrace {
			h.recognize(l)
		}
		return h.inField
	}
	name, value, ok := field(l)
	if !ok {
		return false
	}
	h.inField, h.inID, h.inTrace = true, false, false
	h.note(name, value)
	return true
}

// field splits a header field (RFC 5322 section 2.2); blanks before the colon
// are allowed, as section 4.5 asks of those who read.
func field(l []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(l, ':')
	if i < 0 {
		return nil, nil, false
	}
	name = bytes.TrimRight(l[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return nil, nil, false
		}
	}
	return name, l[i+1:], len(name) > 0
}

// note looks at the name's length first: most fields are none of these.
func (h *header) note(name, value []byte) {
	switch len(name) {
	case len("date"):
		h.hasDate = h.hasDate || is(name, "date")
	case len("received"): // and "priority"
		if is(name, "received") {
			h.received++
			h.inTrace = len(h.mark) > 0
			if h.inTrace {
				h.recognize(value)
			}
		} else if is(name, "priority") {
			h.prioritize(value)
		}
	case len("message-id"): // and "importance", "x-priority"
		switch {
		case is(name, "message-id") && !h.hasMessageID:
			h.hasMessageID, h.inID = true, true
			h.keepID(value)
		case is(name, "importance"), is(name, "x-priority"):
			h.prioritize(value)
		}
	}
}

// recognize counts a trace field as this node's own, once.
func (h *header) recognize(l []byte) {
	if bytes.Contains(l, h.mark) {
		h.own++
		h.inTrace = false
	}
}

func is(name []byte, lower string) bool {
	return strings.EqualFold(string(name), lower)
}

func (h *header) keepID(b []byte) {
	room := maxMessageID - len(h.messageID)
	h.messageID = append(h.messageID, b[:min(len(b), room)]...)
}

// prioritize reads Importance and Priority (RFC 2156 section 5.3, RFC 4021) and
// the X-Priority of many clients, "1" or "1 (Highest)".
func (h *header) prioritize(value []byte) {
	word, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte{' '})
	switch strings.ToLower(string(word[:min(len(word), 16)])) {
	case "high", "urgent", "1", "2":
		h.priority = mail.PriorityHigh
	case "low", "non-urgent", "4", "5":
		h.priority = mail.PriorityLow
	}
}

// id is the Message-ID without its brackets; "" if there was none that could be
// shown to people.
func (h *header) id() string {
	b := bytes.TrimSpace(h.messageID)
	if _, after, ok := bytes.Cut(b, []byte{'<'}); ok {
		b, _, _ = bytes.Cut(after, []byte{'>'})
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return ""
	}
	return string(b)
}
