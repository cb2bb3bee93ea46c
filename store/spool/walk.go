package spool

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// Walk calls f with every message from the given ID on, in the order of the IDs,
// until f says that it has enough or returns an error, which comes back. It sees
// the spool as it is at the beginning and reads it in one go: where many messages
// are to be looked at it costs much less than Load for each. What st points to is
// valid during the call only. Envelope is nil of a message whose envelope cannot be
// read. Errors also: ErrCorrupt, ErrClosed.
func (s *Spool) Walk(from ID, f func(id ID, st *Stored) (more bool, err error)) error {
	w := walker{f: f, names: map[string]string{}}
	err := s.scan(appendMessagePrefix(nil, from), []byte{tagMessage + 1}, func(it *pebble.Iterator) (bool, error) {
		v, err := it.ValueAndErr()
		if err != nil {
			return false, s.readError(err)
		}
		more, err := w.key(it.Key(), v)
		return more && it.Next(), err
	})
	if err == nil && !w.enough && w.begun {
		_, err = f(w.id, &w.st)
	}
	return err
}

// walker gathers the keys of one message after the other.
type walker struct {
	f      func(ID, *Stored) (bool, error)
	id     ID
	st     Stored
	begun  bool
	enough bool
	buf    []byte // what st points to
	names  map[string]string
}

func (w *walker) key(k, v []byte) (more bool, err error) {
	const head = 1 + len(w.id)
	if len(k) <= head {
		return false, badKey(k)
	}
	if id := ID(k[1:head]); !w.begun || id != w.id {
		if w.begun {
			if more, err := w.f(w.id, &w.st); err != nil || !more {
				w.enough = true
				return false, err
			}
		}
		w.id, w.begun, w.buf = id, true, w.buf[:0]
		w.st = Stored{Outcomes: w.st.Outcomes[:0], Entries: w.st.Entries[:0]}
	}
	return true, w.take(k[head], k[head+1:], k, v)
}

func (w *walker) take(kind byte, rest, k, v []byte) error {
	switch {
	case kind == kindEnvelope && len(rest) == 0:
		if body, envelope, err := parseEnvelope(v); err == nil {
			w.st.BodySize, w.st.Envelope = body.size, w.keep(envelope)
		}
	case kind == kindPlan && len(rest) == 0:
		w.st.Plan = w.keep(v)
	case kind == kindOutcome && len(rest) == 4:
		w.st.Outcomes = append(w.st.Outcomes, OutcomeRecord{Target: binary.BigEndian.Uint32(rest), Payload: w.keep(v)})
	case kind == kindEntry && len(rest) > 8:
		name, known := w.names[string(rest[8:])]
		if !known {
			name = string(rest[8:])
			w.names[name] = name // there are far fewer queues than entries
		}
		w.st.Entries = append(w.st.Entries, Entry{Queue: name, Due: int64(binary.BigEndian.Uint64(rest)), Tag: w.keep(v)})
	default:
		return badKey(k)
	}
	return nil
}

// keep copies a value until the next message, never as nil.
func (w *walker) keep(v []byte) []byte {
	if w.buf == nil {
		w.buf = make([]byte, 0, 4096)
	}
	if cap(w.buf)-len(w.buf) < len(v) {
		w.buf = make([]byte, 0, 2*cap(w.buf)+len(v)) // st keeps the old one alive
	}
	n := len(w.buf)
	w.buf = append(w.buf, v...)
	return w.buf[n:len(w.buf):len(w.buf)]
}
