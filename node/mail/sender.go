package mail

import (
	"encoding/binary"
	"slices"
)

// Sender is what connectors' sender lists say of a message's sender: the IDs of
// the entries that name it, in a form that can be compared and stored. Most
// senders are in no list: "".
type Sender string

const senderIDSize = 8

// NewSender makes one of IDs in any order.
func NewSender(ids []uint64) Sender {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var b []byte
	for _, id := range slices.Compact(ids) {
		b = binary.BigEndian.AppendUint64(b, id)
	}
	return Sender(b)
}

// IDs are the IDs, sorted.
func (s Sender) IDs() []uint64 {
	var ids []uint64
	for b := []byte(s); len(b) >= senderIDSize; b = b[senderIDSize:] {
		ids = append(ids, binary.BigEndian.Uint64(b))
	}
	return ids
}

// Valid says whether s is what NewSender makes.
func (s Sender) Valid() bool { return NewSender(s.IDs()) == s }
