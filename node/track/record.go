package track

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
)

// record is a line of a file. Empty fields are left out. appendRecord writes
// the same form by hand, because it is on every message's way.
type record struct {
	At         int64    `json:"at"` // Unix time in microseconds
	Event      string   `json:"event"`
	Source     string   `json:"source,omitempty"`
	ID         string   `json:"id,omitempty"`
	Origin     string   `json:"origin,omitempty"`
	MessageID  string   `json:"message_id,omitempty"`
	Sender     string   `json:"sender,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
	Peer       string   `json:"peer,omitempty"`
	Connector  string   `json:"connector,omitempty"`
	Status     string   `json:"status,omitempty"`
	Detail     string   `json:"detail,omitempty"`
	Size       int64    `json:"size,omitempty"`
	Table      uint64   `json:"table,omitempty"`
	Linked     string   `json:"linked,omitempty"`
}

// appendRecord adds the event's line, with its line feed. Octets that are not
// UTF-8 become U+FFFD, as JSON has no way to write them.
func appendRecord(b []byte, e *mail.Event) []byte {
	b = strconv.AppendInt(append(b, `{"at":`...), e.At.UnixMicro(), 10)
	b = appendField(b, "event", e.Kind.String())
	b = appendField(b, "source", e.Source)
	b = appendID(b, "id", e.ID)
	b = appendID(b, "origin", e.Origin)
	b = appendField(b, "message_id", e.MessageID)
	b = appendField(b, "sender", e.Sender)
	for i, r := range e.Recipients {
		if i == 0 {
			b = append(b, `,"recipients":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, r)
	}
	if len(e.Recipients) > 0 {
		b = append(b, ']')
	}
	b = appendField(b, "peer", e.Peer)
	b = appendField(b, "connector", e.Connector)
	b = appendField(b, "status", e.Status)
	b = appendField(b, "detail", e.Detail)
	if e.Size != 0 {
		b = strconv.AppendInt(append(b, `,"size":`...), e.Size, 10)
	}
	if e.Table != 0 {
		b = strconv.AppendUint(append(b, `,"table":`...), e.Table, 10)
	}
	b = appendID(b, "linked", e.Linked)
	return append(b, '}', '\n')
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendString(b, value)
}

func appendID(b []byte, name string, id mail.ID) []byte {
	if id.IsZero() {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':', '"')
	return append(id.AppendTo(b), '"')
}

// appendString quotes by RFC 8259 section 7: only what must be escaped is.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

func parseRecord(line []byte) (mail.Event, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return mail.Event{}, err
	}
	e := mail.Event{
		At: time.UnixMicro(r.At).UTC(), Kind: kindOf(r.Event), Source: r.Source, MessageID: r.MessageID, Sender: r.Sender, Recipients: r.Recipients,
		Peer: r.Peer, Connector: r.Connector, Status: r.Status, Detail: r.Detail, Size: r.Size, Table: r.Table,
	}
	for _, f := range []struct {
		text string
		id   *mail.ID
	}{{r.ID, &e.ID}, {r.Origin, &e.Origin}, {r.Linked, &e.Linked}} {
		if f.text == "" {
			continue
		}
		id, err := mail.ParseID(f.text)
		if err != nil {
			return mail.Event{}, err
		}
		*f.id = id
	}
	if e.Kind == 0 {
		return mail.Event{}, fmt.Errorf("event %q is not known", r.Event)
	}
	return e, nil
}

func kindOf(word string) mail.EventKind {
	for k := mail.EventReceive; k <= mail.EventThaw; k++ {
		if k.String() == word {
			return k
		}
	}
	return 0
}
