package track

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/postroad/postroad/node/mail"
)

// say writes the event's line of the node's own log.
func (l *Log) say(e *mail.Event) {
	c := l.log.Check(zap.InfoLevel, "message")
	if c == nil {
		return
	}
	c.Time = e.At
	l.line.event = e
	l.field[0] = zap.Inline(&l.line)
	c.Write(l.field[:]...)
}

// line is the event as fields of a log line. Fields that say nothing are left out,
// as in the tracking log.
type line struct {
	event *mail.Event
	text  []byte // of an ID; the encoder copies it
}

func (l *line) MarshalLogObject(to zapcore.ObjectEncoder) error {
	e := l.event
	to.AddString("kind", e.Kind.String())
	l.id(to, "id", e.ID)
	l.id(to, "origin", e.Origin)
	for _, f := range [...]struct{ name, value string }{
		{"source", e.Source}, {"message_id", e.MessageID}, {"sender", e.Sender}, {"peer", e.Peer}, {"connector", e.Connector},
		{"status", e.Status}, {"detail", e.Detail},
	} {
		if f.value != "" {
			to.AddString(f.name, f.value)
		}
	}
	if e.Size != 0 {
		to.AddInt64("size_bytes", e.Size)
	}
	if e.Table != 0 {
		to.AddUint64("table_version", e.Table)
	}
	l.id(to, "linked", e.Linked)
	if len(e.Recipients) == 0 {
		return nil
	}
	return to.AddArray("recipients", (*addresses)(&e.Recipients))
}

func (l *line) id(to zapcore.ObjectEncoder, name string, id mail.ID) {
	if id.IsZero() {
		return
	}
	l.text = id.AppendTo(l.text[:0])
	to.AddByteString(name, l.text)
}

type addresses []string

func (a *addresses) MarshalLogArray(to zapcore.ArrayEncoder) error {
	for _, s := range *a {
		to.AppendString(s)
	}
	return nil
}
