package spool

import (
	"bytes"
	"fmt"
	"hash/fnv"
)

// entryHash stands for an entry with its tag, so that the two keys that every
// entry has can be compared without keeping either.
func entryHash(e entryKey, tag []byte) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %q ", e.due, e.queue)
	_, _ = h.Write(tag)
	return h.Sum64()
}

// judge holds what was counted against the table of states.
func (c *checker) judge() {
	for id, m := range c.messages {
		c.judgeMessage(id, m)
	}
	for id, b := range c.bodies {
		c.judgeBody(id, b)
	}
	c.judgeLedger()
}

func (c *checker) judgeLedger() {
	c.weigher.end()
	c.census.Recipients = c.weigher.held.Recipients
	if !bytes.HasPrefix(c.since, c.epoch) || len(c.since) != 12 {
		return
	}
	c.census.Ledger = map[string]Tally{}
	for line, t := range c.ledger {
		c.census.Ledger[line.String()] = t
	}
	a := Audit{Ledger: c.ledger, Held: c.weigher.held, Unread: c.weigher.unread, Weighed: c.weigher.recipients != nil}
	if !a.Balanced() && !c.unread {
		c.say(ID{}, "the ledger does not balance: %s", a)
	}
}

func (c *checker) judgeMessage(id ID, m *checkedMessage) {
	c.census.Entries += int64(m.queued)
	if !m.enveloped {
		c.say(id, "it has keys and no envelope")
		return
	}
	c.census.Messages++
	if m.submitted {
		c.census.Submitted++
	}
	switch {
	case m.submitted && m.planned:
		c.say(id, "it is planned and still listed as submitted")
	case !m.submitted && !m.planned:
		c.say(id, "it is neither submitted nor planned: no queue knows it")
	case m.planned && m.queued == 0:
		c.say(id, "it is planned and in no queue")
	case !m.planned && m.queued > 0:
		c.say(id, "it is in a queue and not planned")
	case !m.planned && m.outcomes > 0:
		c.say(id, "it has outcomes and no plan")
	}
	if m.entries != m.queued || m.entryHash != m.queueHash {
		c.say(id, "its entries (%d) are not those of the queues (%d)", m.entries, m.queued)
	}
	if m.nameless {
		return
	}
	b := c.bodies[m.body.id]
	if b == nil {
		b = &checkedBody{}
	}
	if b.size != m.body.size || b.chunks != m.body.chunks || b.chunks > 0 && b.last != b.chunks-1 {
		c.say(id, "its body has %d octets in %d chunks and must have %d in %d", b.size, b.chunks, m.body.size, m.body.chunks)
	}
	if m.body.shared == (b.references == 0) {
		c.say(id, "its body is shared: %v, and has %d references", m.body.shared, b.references)
	}
}

func (c *checker) judgeBody(id bodyID, b *checkedBody) {
	c.census.Bodies++
	c.census.Octets += b.size
	switch {
	case b.open && b.owners == 0:
		c.census.Orphans++
	case b.open:
		c.say(ID{}, "body %x belongs to %d messages and is still open", id, b.owners)
	case b.owners == 0 && !c.unread && !c.nameless:
		c.say(ID{}, "body %x belongs to no message", id)
	case b.references > 0 && b.references != b.owners && !c.nameless:
		c.say(ID{}, "body %x has %d references and belongs to %d messages", id, b.references, b.owners)
	case b.references == 0 && b.owners > 1:
		c.say(ID{}, "body %x belongs to %d messages and has no references", id, b.owners)
	}
}
