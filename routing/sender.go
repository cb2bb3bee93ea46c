package routing

import (
	"encoding/binary"
	"slices"
)

// SenderID stands for one entry of the connectors' sender lists. What it means
// (an address, a domain, a group with its members) is the caller's business:
// routing only compares.
type SenderID uint64

// NullSender is the entry for the null reverse path. Reports have no author whom
// a list of people could name, so it passes every Accept list and is stopped by
// a Reject list that has it alone.
const NullSender SenderID = 0

// SenderSet is what connectors may know of a message's sender: the entries that
// name it, sorted. It is comparable, and the empty set is a sender whom no list
// names.
type SenderSet string

const senderIDSize = 8

// NewSenderSet makes a set; ids may be in any order and repeat.
func NewSenderSet(ids ...SenderID) SenderSet {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var b []byte
	for _, id := range slices.Compact(ids) {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return SenderSet(b)
}

// Len counts the entries.
func (s SenderSet) Len() int { return len(s) / senderIDSize }

// ID gives entry i.
func (s SenderSet) ID(i int) SenderID {
	at := s[i*senderIDSize:]
	var id SenderID
	for j := range senderIDSize {
		id = id<<8 | SenderID(at[j])
	}
	return id
}

// takes says whether the connector takes mail of a sender: one whom Reject does
// not name, and whom Accept names if it names anybody.
func (c *Connector) takes(s SenderSet) bool {
	if len(c.Accept)+len(c.Reject) == 0 {
		return true
	}
	named := len(c.Accept) == 0
	for i := range s.Len() {
		id := s.ID(i)
		if _, no := slices.BinarySearch(c.Reject, id); no {
			return false
		}
		if !named {
			_, named = slices.BinarySearch(c.Accept, id)
			named = named || id == NullSender
		}
	}
	return named
}
