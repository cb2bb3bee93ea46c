package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The first octet of a key says what it is; see the package documentation.
const (
	tagMeta      = 0x00 // facts about the spool itself
	tagBody      = 'b'  // body, chunk number
	tagMessage   = 'm'  // message, then one of the kinds below
	tagOpenBody  = 'o'  // body of which chunks are on disk and no envelope yet
	tagQueue     = 'q'  // queue, due, message
	tagReference = 'r'  // body, message: one for each envelope of a shared body
	tagSubmitted = 's'  // message
	tagAside     = 'x'  // message: it was set aside
)

// Kinds of message keys.
const (
	kindEnvelope = 'e'
	kindOutcome  = 'o' // target
	kindPlan     = 'p'
	kindEntry    = 'q' // due, queue: the way back from a message to its entries
)

// keyEpoch counts how often the spool was opened; see bodyID.
const keyEpoch = "\x00epoch"

// keyControl is what an administrator said of queues; see SetControl.
const keyControl = "\x00control"

// keyControlLost is there while that cannot be read; see healing.
const keyControlLost = "\x00controllost"

// keyReclaim begins the marks that bodies may belong to nobody; then a message (reclaim.go).
const keyReclaim = "\x00reclaim"

// bodyID names a body: the epoch in which it was begun and a number within it.
// So it is never given twice, and bodies are written in key order.
type bodyID [12]byte

func newBodyID(epoch uint32, n uint64) bodyID {
	var b bodyID
	binary.BigEndian.PutUint32(b[:4], epoch)
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

func appendChunkKey(k []byte, b bodyID, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append(k, tagBody), b[:]...), chunk)
}

func parseChunkKey(k []byte) (chunk uint32, err error) {
	const head = 1 + len(bodyID{})
	if len(k) != head+4 || k[0] != tagBody {
		return 0, badKey(k)
	}
	return binary.BigEndian.Uint32(k[head:]), nil
}

func appendOpenBodyKey(k []byte, b bodyID) []byte {
	return append(append(k, tagOpenBody), b[:]...)
}

func parseOpenBodyKey(k []byte) (b bodyID, err error) {
	if len(k) != 1+len(b) || k[0] != tagOpenBody {
		return b, badKey(k)
	}
	copy(b[:], k[1:])
	return b, nil
}

func appendReferenceKey(k []byte, b bodyID, id ID) []byte {
	return append(append(append(k, tagReference), b[:]...), id[:]...)
}

func appendSubmittedKey(k []byte, id ID) []byte {
	return append(append(k, tagSubmitted), id[:]...)
}

func parseSubmittedKey(k []byte) (id ID, err error) {
	if len(k) != 1+len(id) || k[0] != tagSubmitted {
		return id, badKey(k)
	}
	copy(id[:], k[1:])
	return id, nil
}

// appendMessagePrefix begins every key of a message.
func appendMessagePrefix(k []byte, id ID) []byte {
	return append(append(k, tagMessage), id[:]...)
}

func appendMessageKey(k []byte, id ID, kind byte) []byte {
	return append(appendMessagePrefix(k, id), kind)
}

func appendOutcomeKey(k []byte, id ID, target uint32) []byte {
	return binary.BigEndian.AppendUint32(appendMessageKey(k, id, kindOutcome), target)
}

func appendEntryKey(k []byte, id ID, e entryKey) []byte {
	k = binary.BigEndian.AppendUint64(appendMessageKey(k, id, kindEntry), uint64(e.due))
	return append(k, e.queue...)
}

// messageKey is a parsed key of tagMessage.
type messageKey struct {
	id     ID
	kind   byte
	target uint32   // kindOutcome
	entry  entryKey // kindEntry
}

func parseMessageKey(k []byte) (m messageKey, err error) {
	const head = 1 + len(m.id) + 1
	if len(k) < head || k[0] != tagMessage {
		return m, badKey(k)
	}
	copy(m.id[:], k[1:])
	m.kind = k[head-1]
	rest := k[head:]
	switch {
	case (m.kind == kindEnvelope || m.kind == kindPlan) && len(rest) == 0:
	case m.kind == kindOutcome && len(rest) == 4:
		m.target = binary.BigEndian.Uint32(rest)
	case m.kind == kindEntry && len(rest) > 8:
		m.entry = entryKey{queue: string(rest[8:]), due: int64(binary.BigEndian.Uint64(rest))}
		if m.entry.due < 0 {
			return m, badKey(k)
		}
	default:
		return m, badKey(k)
	}
	return m, nil
}

// A queue's name stands in the middle of a key, so it is closed by 0x00 0x01,
// and a 0x00 within it becomes 0x00 0xff. Keys then sort as names do, and no
// name's keys lie between those of another.
const (
	queueEnd    = 0x01
	queueAfter  = 0x02 // sorts after all keys of the queue
	queueEscape = 0xff
)

func appendQueueName(k []byte, queue string, end byte) []byte {
	k = append(k, tagQueue)
	for i := range len(queue) {
		k = append(k, queue[i])
		if queue[i] == 0 {
			k = append(k, queueEscape)
		}
	}
	return append(k, 0, end)
}

func appendQueueKey(k []byte, queue string, due int64, id ID) []byte {
	k = appendQueueName(k, queue, queueEnd)
	return append(binary.BigEndian.AppendUint64(k, uint64(due)), id[:]...)
}

func parseQueueKey(k []byte) (queue string, p Position, err error) {
	const tail = 8 + len(p.ID)
	if len(k) == 0 || k[0] != tagQueue {
		return "", p, badKey(k)
	}
	name, rest, ok := cutQueueName(k[1:])
	if !ok || len(name) == 0 || len(rest) != tail {
		return "", p, badKey(k)
	}
	p.Due = int64(binary.BigEndian.Uint64(rest))
	copy(p.ID[:], rest[8:])
	if p.Due < 0 {
		return "", p, badKey(k)
	}
	return string(name), p, nil
}

func cutQueueName(k []byte) (name, rest []byte, ok bool) {
	first := true
	for {
		i := bytes.IndexByte(k, 0)
		if i < 0 || i+1 == len(k) {
			return nil, nil, false
		}
		switch k[i+1] {
		case queueEnd:
			if first {
				return k[:i], k[i+2:], true // usual: nothing escaped, nothing copied
			}
			return append(name, k[:i]...), k[i+2:], true
		case queueEscape:
			name, first = append(name, k[:i+1]...), false
			k = k[i+2:]
		default:
			return nil, nil, false
		}
	}
}

func badKey(k []byte) error { return fmt.Errorf("%w: key %x is none of this format", ErrCorrupt, k) }
