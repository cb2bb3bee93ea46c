package spool

import "github.com/cockroachdb/pebble/v2"

// finish deletes every key of a message, and its body if nobody else has it.
// All but outcomes were set exactly once since they last were not there, so
// SingleDelete may remove them.
func (c *change) finish(id ID, m *message) error {
	var buf [64]byte
	b := c.batch
	for _, e := range m.entries {
		if c.spool.aside.has(id, e) {
			if err := b.SingleDelete(appendEntryKey(buf[:0], id, e), nil); err != nil {
				return err
			}
			continue
		}
		c.tally.entry(e.queue, times(-1, m.body.size))
		if err := deleteEntry(b, id, e); err != nil {
			return err
		}
	}
	_, isAside := c.spool.aside.get(id)
	switch {
	case m.planned:
		if err := b.SingleDelete(appendMessageKey(buf[:0], id, kindPlan), nil); err != nil {
			return err
		}
	case !isAside:
		if err := b.SingleDelete(appendSubmittedKey(buf[:0], id), nil); err != nil {
			return err
		}
	}
	if isAside {
		c.setAside(id, nil)
		if err := b.Delete(appendAsideKey(buf[:0], id), nil); err != nil {
			return err
		}
	}
	for _, t := range m.targets {
		if err := b.Delete(appendOutcomeKey(buf[:0], id, t), nil); err != nil {
			return err
		}
	}
	if err := c.releaseBody(id, m.body); err != nil {
		return err
	}
	if err := b.SingleDelete(appendMessageKey(buf[:0], id, kindEnvelope), nil); err != nil {
		return err
	}
	delete(c.spool.shards[shardOf(id)].known, id)
	c.tally.message(-1, m.body.size)
	return nil
}

// releaseBody deletes the body with its last envelope. Whether it is the last
// is decided under one lock, held until the batch is applied: the envelopes
// may be in different shards.
func (c *change) releaseBody(id ID, s stored) error {
	if !s.shared {
		return c.deleteBody(s)
	}
	if c.dropped == nil {
		c.spool.references.Lock()
		c.dropped = make(map[ID]struct{})
	}
	c.dropped[id] = struct{}{}
	var buf [64]byte
	if err := c.batch.SingleDelete(appendReferenceKey(buf[:0], s.id, id), nil); err != nil {
		return err
	}
	last, err := c.lastReference(s.id)
	if err != nil || !last {
		return err
	}
	return c.deleteBody(s)
}

func (c *change) deleteBody(s stored) error {
	if s.file != 0 {
		c.files = append(c.files, s)
		return nil
	}
	return deleteChunks(c.batch, s.id, s.chunks)
}

// lastReference says whether this change drops all references of a body. An
// envelope has one body, so its ID tells its references apart.
func (c *change) lastReference(b bodyID) (bool, error) {
	low := appendReferenceKey(nil, b, ID{})
	var high ID
	for i := range high {
		high[i] = 0xff
	}
	it, err := c.spool.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: append(appendReferenceKey(nil, b, high), 0)})
	if err != nil {
		return false, c.spool.readError(err)
	}
	last := true
	for ok := it.First(); ok && last; ok = it.Next() {
		var id ID
		copy(id[:], it.Key()[len(low)-len(id):])
		_, last = c.dropped[id]
	}
	if err := it.Close(); err != nil {
		return false, c.spool.readError(err)
	}
	return last, nil
}
