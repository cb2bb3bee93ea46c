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
}

const (
	tagVersion  = 1
	tagNotified = 1 << 0
	tagMulti    = 1 << 1
	tagAll      = 1 << 2
)

var errTag = errors.New("the entry's tag was not written by this version")

// encode writes version, flags, created, attempts, then the targets as
// differences, all but the first two as varints.
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
	b = append(b, tagVersion, flags)
	b = binary.AppendVarint(b, t.created)
	b = binary.AppendUvarint(b, uint64(t.attempts))
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
	if len(b) < 2 || b[0] != tagVersion || b[1]&^(tagNotified|tagMulti|tagAll) != 0 {
		return tag{}, errTag
	}
	flags, b := b[1], b[2:]
	t := tag{notified: flags&tagNotified != 0, multi: flags&tagMulti != 0}
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
