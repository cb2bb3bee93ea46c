package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// walk looks at all messages.
func (f *finder) walk() error {
	return f.runner.c.Store.Walk(spool.ID(f.search.After.ID), func(id spool.ID, st *spool.Stored) (bool, error) {
		more := f.look(mail.ID(id), st)
		f.search.After = maxCursor(f.search.After, Cursor{mail.ID(id), lastQueue})
		return more, nil
	})
}

func maxCursor(a, b Cursor) Cursor {
	if a.Compare(b) >= 0 {
		return a
	}
	return b
}

// gather lists the messages of the queues that are wanted from the cursor on.
func (f *finder) gather() ([]mail.ID, error) {
	const page = 5000
	var ids []mail.ID
	for name, p := range f.queues {
		for after := (spool.Position{}); p.wanted; {
			list, err := f.runner.c.Store.Entries(name, after, page)
			if err != nil {
				return nil, fmt.Errorf("queue %s: %w", p.ID, err)
			}
			for _, e := range list {
				if compareID(mail.ID(e.ID), f.search.After.ID) >= 0 {
					ids = append(ids, mail.ID(e.ID))
				}
			}
			if len(list) < page {
				break
			}
			after = spool.Position{Due: list[len(list)-1].Due, ID: list[len(list)-1].ID}
		}
	}
	for after := (spool.ID{}); f.unplanned(); {
		list, err := f.runner.c.Store.Submitted(after, page)
		if err != nil {
			return nil, err
		}
		for _, id := range list {
			if compareID(mail.ID(id), f.search.After.ID) >= 0 {
				ids = append(ids, mail.ID(id))
			}
		}
		if len(list) < page {
			break
		}
		after = list[len(list)-1]
	}
	slices.SortFunc(ids, compareID)
	return slices.Compact(ids), nil
}

// each looks at the messages of the queues that are wanted one by one.
func (f *finder) each() error {
	ids, err := f.gather()
	if err != nil {
		return err
	}
	for _, id := range ids {
		st, err := f.runner.c.Store.Load(spool.ID(id))
		switch {
		case errors.Is(err, spool.ErrNotFound):
			continue // delivered meanwhile
		case errors.Is(err, spool.ErrClosed):
			return err
		case err != nil:
			st = spool.Stored{} // one bad message must not hide the others
		}
		if !f.look(id, &st) {
			return nil
		}
	}
	return nil
}

// look judges one message in all its queues and says whether to go on.
func (f *finder) look(id mail.ID, st *spool.Stored) (more bool) {
	if f.found.Looked++; !f.upTo(id) {
		return false
	}
	if f.noted[id] != nil {
		return true
	}
	rec := &record{node: f.search.Node, now: f.now, id: id, st: st}
	for _, e := range f.entries(rec) {
		if at := (Cursor{id, e.at.ID}); at.Compare(f.search.After) <= 0 {
			continue
		}
		rec.at, rec.entry, rec.tag = e.at, &e.Entry, tag{}
		if st.Plan != nil {
			rec.tag, _ = decodeTag(e.Tag, true)
		} else {
			rec.frozen, rec.sent = f.runner.earlyNote(id), f.runner.sent(id)
		}
		rec.to = nil
		if !e.at.wanted || f.search.Filter.Judge(rec) != filter.Yes {
			continue
		}
		if !f.give(rec.describe()) {
			return false
		}
	}
	if f.found.Looked%128 == 0 && f.search.Budget > 0 && f.runner.c.Now().Sub(f.now) >= f.search.Budget {
		f.found.Next = &Cursor{id, lastQueue}
		return false
	}
	return true
}

// standing is an entry and the queue that it stands in.
type standing struct {
	spool.Entry
	at *place
}

// entries gives the places of a message in the order of their IDs.
func (f *finder) entries(r *record) []standing {
	f.list = f.list[:0]
	if r.st.Plan == nil {
		return append(f.list, standing{at: &f.before[f.unplannedPlace(r)]})
	}
	for _, e := range r.st.Entries {
		at := f.queues[e.Queue]
		if at == nil {
			// It was made after the queues were listed, or cannot be named.
			p := f.place(Info{name: e.Queue, ID: queueID(e.Queue), Kind: KindRemote})
			at = &p
			f.queues[e.Queue] = at
		}
		f.list = append(f.list, standing{e, at})
	}
	if len(f.list) > 1 {
		slices.SortFunc(f.list, func(a, b standing) int { return cmp.Compare(a.at.ID, b.at.ID) })
	}
	return f.list
}

// unplannedPlace is where a message without a plan waits.
func (f *finder) unplannedPlace(r *record) stage {
	if !f.unplanned() {
		return stageSubmitted
	}
	r.decode()
	if f.aside == nil {
		f.runner.inMu.Lock()
		f.aside = f.runner.intake.putAside()
		f.runner.inMu.Unlock()
	}
	f.runner.inMu.Lock()
	held, stopped := f.runner.intake.held.of[r.id]
	f.runner.inMu.Unlock()
	poison, waits := f.aside[r.id]
	switch {
	case stopped:
		return held
	case poison || r.err != nil:
		return stagePoison
	case waits:
		return stageDirectory
	case r.env.System:
		return stageReport
	}
	return stageSubmitted
}
