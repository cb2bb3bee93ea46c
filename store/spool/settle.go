package spool

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// Settle commits the results of attempts durably in one step, all or none. For
// each settlement it says whether the message is finished: no entry was left and
// the message is gone. A settlement whose message or entry is not there any more
// (removed by an administrator) is skipped whole, its reports discarded; it
// counts as finished if the message is gone. Errors: ErrInvalid, ErrFull,
// ErrFailed, ErrClosed; after the first two nothing was settled, and the same
// list may be settled later. Many settlements in one call cost one sync; so do
// concurrent calls.
func (s *Spool) Settle(list ...Settlement) (finished []bool, err error) {
	size, err := s.checkSettlements(list)
	if err != nil {
		return nil, err
	}
	if err := s.admitInside(); err != nil {
		return nil, err
	}
	if err := s.fault(faultSettleBegin); err != nil {
		return nil, err
	}
	for i := range list {
		if err := s.secure(list[i].Reports); err != nil {
			return nil, err
		}
	}
	c := s.newChange(size)
	for i := range list {
		c.lock |= 1<<shardOf(list[i].ID) | shardsOf(list[i].Reports)
	}
	finished = make([]bool, len(list))
	err = c.run(func() error {
		for i := range list {
			if err := c.settle(&list[i], &finished[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.fault(faultSettleApplied); err != nil {
		return nil, err
	}
	if err := c.wait(); err != nil {
		return nil, err
	}
	return finished, s.fault(faultSettleSynced)
}

// Remove deletes a message in whatever state it is, durably; reports are
// accepted in the same instant. In the ledger its recipients are Deleted.
// Errors: ErrNotFound, ErrInvalid, ErrFull, ErrFailed, ErrClosed.
func (s *Spool) Remove(id ID, reports ...Incoming) error {
	return s.End(id, Deleted, nil, reports...)
}

// End is Remove for another reason: posts says what became of some recipients,
// and line what of all others.
func (s *Spool) End(id ID, line Line, posts []Posting, reports ...Incoming) error {
	size, err := checkIncoming(s, reports)
	if err == nil {
		err = checkPostings(append(posts[:len(posts):len(posts)], Posting{Line: line}))
	}
	if err != nil {
		return err
	}
	if err := s.admitInside(); err != nil {
		return err
	}
	if err := s.fault(faultRemoveBegin); err != nil {
		return err
	}
	if err := s.secure(reports); err != nil {
		return err
	}
	c := s.newChange(int(size))
	c.lock = 1<<shardOf(id) | shardsOf(reports)
	err = c.run(func() error {
		m, err := c.message(id)
		if _, isAside := s.aside.get(id); isAside && unread(err) {
			c.reports = reports
			return c.removeUnread(id)
		}
		if err != nil {
			return err
		}
		c.reports = reports
		if err := c.postRest(id, m, line, posts); err != nil {
			return err
		}
		return c.finish(id, m)
	})
	if err != nil {
		return err
	}
	if err := s.fault(faultRemoveApplied); err != nil {
		return err
	}
	if err := c.wait(); err != nil {
		return err
	}
	return s.fault(faultRemoveSynced)
}

func (s *Spool) checkSettlements(list []Settlement) (size int, err error) {
	var reports []Incoming
	for i := range list {
		e := &list[i]
		size += 512
		for _, o := range e.Outcomes {
			size += len(o.Payload) + 32
		}
		if err := checkPostings(e.Ends); err != nil {
			return 0, fmt.Errorf("settlement of message %x: %w", e.ID, err)
		}
		if e.Requeue != nil {
			if err := checkEntry(*e.Requeue); err != nil {
				return 0, fmt.Errorf("settlement of message %x: %w", e.ID, err)
			}
		}
		for _, also := range e.Also {
			size += 512
			if err := checkEntry(also); err != nil {
				return 0, fmt.Errorf("settlement of message %x: %w", e.ID, err)
			}
		}
		reports = append(reports, e.Reports...)
	}
	n, err := checkIncoming(s, reports)
	return size + int(n), err
}

// change is one batch in the making: what it deletes and adds, which memory of
// messages it makes wrong if it fails, what it changes in the counts.
type change struct {
	spool   *Spool
	lock    uint64 // shards
	batch   *pebble.Batch
	touched []ID
	reports []Incoming // to be accepted with it
	skipped []Incoming // of settlements that came too late
	tally   tally
	posts   postings
	// aside are the records of messages that are set aside; nil: they are not any more.
	aside map[ID]*aside
	// files are those of bodies that go; they may be written again after the sync.
	files   []stored
	reclaim bool // there may be a body of nobody now
	// references deleted by this change; non-nil while references is locked.
	dropped map[ID]struct{}
}

func (s *Spool) newChange(size int) *change {
	return &change{spool: s, batch: s.db.NewBatchWithSize(size + 256)}
}

func (c *change) setAside(id ID, rec *aside) {
	if c.aside == nil {
		c.aside = make(map[ID]*aside)
	}
	c.aside[id] = rec
}

// run builds the batch and applies it under the locks.
func (c *change) run(build func() error) error {
	s := c.spool
	s.lockAll(c.lock)
	defer s.unlockAll(c.lock)
	err := build()
	if err == nil {
		err = c.addReports()
	}
	if err == nil && len(c.touched) > 0 {
		err = c.posts.write(c.batch, c.touched[0])
	}
	if err == nil {
		err = s.apply(c.batch)
	}
	if c.dropped != nil {
		s.references.Unlock()
	}
	if err != nil {
		// Memory may be ahead of the disk now; it is read again.
		for _, id := range c.touched {
			delete(s.shards[shardOf(id)].known, id)
		}
		return err
	}
	for id, rec := range c.aside {
		s.aside.set(id, rec)
	}
	s.counts.add(&c.tally)
	s.book.add(c.posts)
	return nil
}

func (c *change) wait() error {
	if err := c.spool.wait(c.batch); err != nil {
		return err
	}
	c.spool.released(c.files)
	if c.reclaim {
		c.spool.reclaimInBackground()
	}
	c.spool.accepted(c.reports)
	for _, r := range c.skipped {
		r.Body.Discard()
	}
	return nil
}

func (c *change) addReports() error {
	if len(c.reports) == 0 {
		return nil
	}
	if err := addIncoming(c.batch, c.reports); err != nil {
		return err
	}
	c.posts.incoming(Generated, c.reports)
	if err := c.spool.learn(c.reports); err != nil {
		return err
	}
	for i := range c.reports {
		c.touched = append(c.touched, c.reports[i].ID)
	}
	return nil
}

func (c *change) message(id ID) (*message, error) {
	m, err := c.spool.message(id)
	if err == nil {
		c.touched = append(c.touched, id)
	}
	return m, err
}

func (c *change) settle(e *Settlement, finished *bool) error {
	m, err := c.message(e.ID)
	if errors.Is(err, ErrNotFound) {
		*finished = true
		c.skip(e)
		return nil
	}
	if err != nil {
		return err
	}
	old := entryKey{e.Queue, e.Due}
	if c.spool.aside.has(e.ID, old) || !m.remove(old) {
		c.skip(e)
		return nil
	}
	c.reports = append(c.reports, e.Reports...)
	line := c.posts.recipients(e.Ends)
	if e.Requeue == nil && len(e.Also) == 0 && len(m.entries) == 0 {
		*finished = true
		c.posts.add(line, Tally{Messages: 1})
		m.entries = append(m.entries, old)
		return c.finish(e.ID, m)
	}
	c.tally.entry(old.queue, times(-1, m.body.size))
	if err := deleteEntry(c.batch, e.ID, old); err != nil {
		return err
	}
	if e.Requeue != nil {
		if err := c.requeue(e.ID, m, *e.Requeue); err != nil {
			return err
		}
	}
	for _, also := range e.Also {
		if err := c.requeue(e.ID, m, also); err != nil {
			return err
		}
	}
	return c.addOutcomes(e, m)
}

func (c *change) skip(e *Settlement) {
	c.spool.log.Info("spool_entry_gone", zap.Binary("id", e.ID[:]), zap.String("queue", e.Queue), zap.Int64("due", e.Due))
	c.skipped = append(c.skipped, e.Reports...)
}

func (c *change) requeue(id ID, m *message, e Entry) error {
	k := entryKey{e.Queue, e.Due}
	if slices.Contains(m.entries, k) {
		return fmt.Errorf("%w: message %x has an entry in queue %q with the same due time", ErrInvalid, id, e.Queue)
	}
	m.entries = append(m.entries, k)
	c.tally.entry(k.queue, times(1, m.body.size))
	return addEntry(c.batch, id, e)
}

func (c *change) addOutcomes(e *Settlement, m *message) error {
	var buf [32]byte
	for _, o := range e.Outcomes {
		if err := c.batch.Set(appendOutcomeKey(buf[:0], e.ID, o.Target), o.Payload, nil); err != nil {
			return err
		}
		if !slices.Contains(m.targets, o.Target) {
			m.targets = append(m.targets, o.Target)
		}
	}
	return nil
}
