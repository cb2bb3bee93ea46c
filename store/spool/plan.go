package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Plan puts a submitted message into its queues, at least one. reports are
// accepted in the same instant (for recipients that failed at once). posts says
// how the recipients of plan and reports differ from those that were accepted:
// Expanded, Merged, and what became of those that are in no queue. It is not
// synced: after a crash the message may be found submitted again, without the
// reports. Whatever is synced later makes the plan durable first, so nobody
// outside can have seen an effect of a plan that is gone.
// Errors: ErrNotFound, ErrInvalid when it was planned before, ErrFull,
// ErrFailed, ErrClosed.
func (s *Spool) Plan(id ID, plan []byte, entries []Entry, posts []Posting, reports ...Incoming) error {
	if err := errors.Join(checkEntries(entries), checkPostings(posts)); err != nil {
		return fmt.Errorf("plan of message %x: %w", id, err)
	}
	size, err := checkIncoming(s, reports)
	if err != nil {
		return err
	}
	if err := s.admitInside(); err != nil {
		return err
	}
	if err := s.fault(faultPlanBegin); err != nil {
		return err
	}
	if err := s.secure(reports); err != nil {
		return err
	}
	set := shardsOf(reports) | 1<<shardOf(id)
	s.lockAll(set)
	var posted postings
	posted.recipients(posts)
	posted.incoming(Generated, reports)
	err = s.plan(id, plan, entries, reports, posted, int(size))
	s.unlockAll(set)
	if err != nil {
		return err
	}
	s.book.add(posted)
	s.accepted(reports)
	return s.fault(faultPlanApplied)
}

func (s *Spool) plan(id ID, plan []byte, entries []Entry, reports []Incoming, posted postings, size int) error {
	m, err := s.message(id)
	if err != nil {
		return err
	}
	if m.planned {
		return fmt.Errorf("%w: message %x was planned before", ErrInvalid, id)
	}
	if _, isAside := s.aside.get(id); isAside {
		return fmt.Errorf("%w: message %x was set aside", ErrInvalid, id)
	}
	batch := s.db.NewBatchWithSize(size + len(plan) + 128*(1+2*len(entries)))
	var buf [64]byte
	if err := batch.SingleDelete(appendSubmittedKey(buf[:0], id), nil); err != nil {
		return err
	}
	if err := batch.Set(appendMessageKey(buf[:0], id, kindPlan), plan, nil); err != nil {
		return err
	}
	for _, e := range entries {
		if err := addEntry(batch, id, e); err != nil {
			return err
		}
	}
	if err := addIncoming(batch, reports); err != nil {
		return err
	}
	if err := posted.write(batch, id); err != nil {
		return err
	}
	if err := s.learn(reports); err != nil {
		return err
	}
	if err := s.commitUnsynced(batch); err != nil {
		s.forget(reports)
		return err
	}
	m.planned = true
	m.entries = make([]entryKey, len(entries))
	for i, e := range entries {
		m.entries[i] = entryKey{e.Queue, e.Due}
		s.counts.entry(e.Queue, times(1, m.body.size))
	}
	return nil
}

// addEntry writes an entry and the way back to it. The tag is in both, so that
// neither reader needs the other key.
func addEntry(batch *pebble.Batch, id ID, e Entry) error {
	var buf [128]byte
	if err := batch.Set(appendQueueKey(buf[:0], e.Queue, e.Due, id), e.Tag, nil); err != nil {
		return err
	}
	return batch.Set(appendEntryKey(buf[:0], id, entryKey{e.Queue, e.Due}), e.Tag, nil)
}

func deleteEntry(batch *pebble.Batch, id ID, e entryKey) error {
	var buf [128]byte
	if err := batch.SingleDelete(appendQueueKey(buf[:0], e.queue, e.due, id), nil); err != nil {
		return err
	}
	return batch.SingleDelete(appendEntryKey(buf[:0], id, e), nil)
}

func checkEntries(entries []Entry) error {
	if len(entries) == 0 {
		return fmt.Errorf("%w: no entries; a message that needs no queue is removed", ErrInvalid)
	}
	var seen map[entryKey]struct{}
	if len(entries) > 1 {
		seen = make(map[entryKey]struct{}, len(entries))
	}
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return err
		}
		k := entryKey{e.Queue, e.Due}
		if _, twice := seen[k]; twice {
			return fmt.Errorf("%w: queue %q is there twice with the same due time", ErrInvalid, e.Queue)
		}
		if seen != nil {
			seen[k] = struct{}{}
		}
	}
	return nil
}

func checkEntry(e Entry) error {
	switch {
	case e.Queue == "" || len(e.Queue) > MaxQueueName:
		return fmt.Errorf("%w: a queue's name must have 1 to %d octets, not %d", ErrInvalid, MaxQueueName, len(e.Queue))
	case e.Due < 0:
		return fmt.Errorf("%w: due time %d of queue %q is before 1970", ErrInvalid, e.Due, e.Queue)
	}
	return nil
}
