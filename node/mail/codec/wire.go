package codec

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/node/mail"
)

// ErrCorrupt is wrapped by every decoding error: the bytes were not written by
// this package, or were damaged since.
var ErrCorrupt = errors.New("corrupt record")

func corrupt(field, rule string) error {
	return fmt.Errorf("%w: %s %s", ErrCorrupt, field, rule)
}

// marshal never fails on what the encoders build: the only errors of
// proto.Marshal are invalid UTF-8, which text removes, and proto2 required
// fields, which the schemas do not have.
func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("codec: marshalling %s: %v", m.ProtoReflect().Descriptor().FullName(), err))
	}
	return b
}

func unmarshal(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// id16 writes an ID or GUID; the zero value is left out.
func id16[T ~[16]byte](v T) []byte {
	if v == (T{}) {
		return nil
	}
	return v[:]
}

// parse16 reads what id16 writes.
func parse16[T ~[16]byte](field string, b []byte) (T, error) {
	switch len(b) {
	case 0:
		return T{}, nil
	case 16:
		return T(b), nil
	}
	return T{}, corrupt(field, fmt.Sprintf("has %d octets, must have 16", len(b)))
}

func list16[T ~[16]byte](vs []T) [][]byte {
	if len(vs) == 0 {
		return nil
	}
	out := make([][]byte, len(vs))
	for i := range vs {
		out[i] = vs[i][:]
	}
	return out
}

func parseList16[T ~[16]byte](field string, bs [][]byte) ([]T, error) {
	if len(bs) == 0 {
		return nil, nil
	}
	out := make([]T, len(bs))
	for i, b := range bs {
		if len(b) != 16 {
			return nil, corrupt(field, fmt.Sprintf("element %d has %d octets, must have 16", i, len(b)))
		}
		out[i] = T(b)
	}
	return out, nil
}

// micros is the time in microseconds since 1970; the zero time is 0, so the one
// microsecond that began 1970 reads back as "never".
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// millis is the time in milliseconds since 1970; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// interval reads seconds as RFC 4865 section 3 has them: nine digits at most.
func interval(field string, seconds int64) (time.Duration, error) {
	if seconds < 0 || seconds > 999_999_999 {
		return 0, corrupt(field, "is out of range")
	}
	return time.Duration(seconds) * time.Second, nil
}

func notify(v uint32) (mail.Notify, error) {
	const all = mail.NotifyNever | mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	if v&^uint32(all) != 0 {
		return 0, corrupt("notify", fmt.Sprintf("%d has unknown bits", v))
	}
	return mail.Notify(v), nil
}

// clamp keeps a priority within what the decoders accept: a number nobody
// defined must not make a stored message unreadable.
func clamp(p mail.Priority) int32 {
	return int32(min(max(p, mail.PriorityLow), mail.PriorityHigh))
}

func priority(v int32) (mail.Priority, error) {
	if v < int32(mail.PriorityLow) || v > int32(mail.PriorityHigh) {
		return 0, corrupt("priority", fmt.Sprintf("%d is not -1, 0 or 1", v))
	}
	return mail.Priority(v), nil
}
