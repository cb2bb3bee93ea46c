package queue

import (
	"encoding/binary"
	"errors"
	"math"
)

// tag is what the spool keeps with an entry: what the scheduler must know of a
// waiting message without reading it.
type tag struct {
	created  int64 // Unix ms; the clock of expiration
	attempts int   // made so far
	notified bool  // the delay notice is out
	multi    bool  // the message has entries in other queues too
	targets  []int // indexes into the plan, rising; nil: all of them

	by       int64 // Unix ms; the deliver-by-time (RFC 2852), 0: none, or told of already
	byReturn bool  // then it is given up

	note   *Note // why it is held back; nil: it is not
	exempt bool  // an administrator let it go that a rule had held: no rule holds it again

	failed int64 // when the last attempt deferred it, Unix ms; 0: none did, or nobody wrote it down
}

const (
	tagVersion  = 1
	tagNotified = 1 << 0
	tagMulti    = 1 << 1
	tagAll      = 1 << 2
	tagBy       = 1 << 3
	tagReturn   = 1 << 4
	tagNote     = 1 << 5
	tagExempt   = 1 << 6
	tagFailed   = 1 << 7
)

var errTag = errors.New("the entry's tag was not written by this version")

// encode writes version, flags, created, attempts, the last failure, the deliver-by-time
// and the note if there are any, then the targets as differences, all but the first two and
// the note's words as varints.
func (t tag) encode() []byte {
	b := make([]byte, 0, 16+2*len(t.targets))
	var flags byte
	if t.notified {
		flags |= tagNotified
	}
	if t.multi {
		flags |= tagMulti
	}
	if t.targets == nil {
		flags |= tagAll
	}
	if t.by != 0 {
		flags |= tagBy
	}
	if t.byReturn {
		flags |= tagReturn
	}
	if t.note != nil {
		flags |= tagNote
	}
	if t.failed != 0 {
		flags |= tagFailed
	}
	if t.exempt {
		flags |= tagExempt
	}
	b = append(b, tagVersion, flags)
	b = binary.AppendVarint(b, t.created)
	b = binary.AppendUvarint(b, uint64(t.attempts))
	if t.failed != 0 {
		b = binary.AppendVarint(b, t.failed)
	}
	if t.by != 0 {
		b = binary.AppendVarint(b, t.by)
	}
	if t.note != nil {
		b = binary.AppendVarint(b, t.note.At)
		b = appendText(appendText(b, t.note.By), t.note.Reason)
	}
	last := -1
	for _, i := range t.targets {
		b = binary.AppendUvarint(b, uint64(i-last))
		last = i
	}
	return b
}

// decodeTag reads what encode writes; withTargets false leaves them out, which
// is all a waiting entry needs.
func decodeTag(b []byte, withTargets bool) (tag, error) {
	if len(b) < 2 || b[0] != tagVersion {
		return tag{}, errTag
	}
	flags, b := b[1], b[2:]
	t := tag{notified: flags&tagNotified != 0, multi: flags&tagMulti != 0, byReturn: flags&tagReturn != 0, exempt: flags&tagExempt != 0}
	var n int
	if t.created, n = binary.Varint(b); n <= 0 {
		return tag{}, errTag
	}
	b = b[n:]
	attempts, n := binary.Uvarint(b)
	if n <= 0 || attempts > math.MaxInt32 {
		return tag{}, errTag
	}
	t.attempts, b = int(attempts), b[n:]
	if flags&tagFailed != 0 {
		if t.failed, n = binary.Varint(b); n <= 0 || t.failed == 0 {
			return tag{}, errTag
		}
		b = b[n:]
	}
	if flags&tagBy != 0 {
		if t.by, n = binary.Varint(b); n <= 0 || t.by == 0 {
			return tag{}, errTag
		}
		b = b[n:]
	}
	if flags&tagNote != 0 {
		var err error
		if t.note, b, err = cutNote(b); err != nil {
			return tag{}, err
		}
	}
	if flags&tagAll != 0 {
		if len(b) != 0 {
			return tag{}, errTag
		}
		return t, nil
	}
	if !withTargets {
		return t, nil
	}
	t.targets = make([]int, 0, len(b))
	for last := uint64(0); len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 || d == 0 || d > math.MaxInt32 || last+d > math.MaxInt32 {
			return tag{}, errTag
		}
		last += d
		t.targets, b = append(t.targets, int(last-1)), b[n:]
	}
	return t, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutText(b []byte) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, false
	}
	return string(b[n : n+int(size)]), b[n+int(size):], true
}

func cutNote(b []byte) (note *Note, rest []byte, err error) {
	note = &Note{}
	var n int
	if note.At, n = binary.Varint(b); n <= 0 {
		return nil, nil, errTag
	}
	var ok1, ok2 bool
	if note.By, b, ok1 = cutText(b[n:]); ok1 {
		note.Reason, b, ok2 = cutText(b)
	}
	if !ok2 {
		return nil, nil, errTag
	}
	return note, b, nil
}
