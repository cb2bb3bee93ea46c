package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// Selection is the messages that somebody means. Everything that is set must hold.
type Selection struct {
	Queues []string  // IDs of queues; nil: all
	IDs    []mail.ID // nil: all
	// Match chooses recipients; nil: all.
	Match func(Item) bool
	// ByRule: a rule asks. What is not routed yet it meets then, and what is in flight
	// at the next start.
	ByRule bool
}

// Tally is what an action touched, or would touch. A message counts once, in however
// many queues it is.
type Tally struct {
	Messages   int
	Recipients int
	Octets     int64
	// Later are those that are in flight: the attempt is finished first. The order is
	// kept over a restart.
	Later int
	// Untold are those whose senders were due a report, and get none.
	Untold int
	// Refused are those that stay as they are, by the reason.
	Refused map[string]int
	// Unknown are those that are not here.
	Unknown []mail.ID
	Sample  []mail.ID // the first of them
}

const (
	// outstanding bounds the orders that are on their way to disk.
	outstanding = 256
	// orderWait is how long an action waits for what is in flight.
	orderWait = 3 * time.Second
	sampleOf  = 10
)

func (t *Tally) refuse(err error) {
	if t.Refused == nil {
		t.Refused = map[string]int{}
	}
	t.Refused[err.Error()]++
}

func (t *Tally) count(id mail.ID, recipients int, octets int64) {
	t.Messages, t.Recipients, t.Octets = t.Messages+1, t.Recipients+recipients, t.Octets+octets
	if len(t.Sample) < sampleOf {
		t.Sample = append(t.Sample, id)
	}
}

// QueueNames gives the names of the queues with those IDs, and the IDs that no
// queue has. nil: all queues.
func (r *Runner) QueueNames(ids []string) (names, unknown []string) {
	r.mu.Lock()
	list := r.sched.List(r.now())
	r.mu.Unlock()
	for _, q := range list {
		if ids == nil || slices.ContainsFunc(ids, q.is) {
			names = append(names, q.name)
		}
	}
	for _, id := range ids {
		if !slices.Contains(always, id) && !slices.ContainsFunc(list, func(q Info) bool { return q.is(id) }) {
			unknown = append(unknown, id)
		}
	}
	return names, unknown
}

// always are the IDs of the queues that are there even when empty.
var always = []string{IDPreSubmission, IDReports, IDDirectory, IDRouting, IDUnreachable, IDLocal, IDDeferred, IDPoison, IDQuarantine}

// Act carries out an order on the messages of a selection and tells what it
// touched; dry: what it would touch. What was counted is on disk when it returns,
// but for those that are in flight. With an error, what the tally says was done.
func (r *Runner) Act(ctx context.Context, sel Selection, o Order, dry bool) (Tally, error) {
	a := &action{r: r, ctx: ctx, sel: sel, order: o, dry: dry, slots: make(chan struct{}, outstanding)}
	if err := r.restore(); err != nil {
		return Tally{}, err
	}
	a.order.Note.At = r.now()
	err := a.prepare()
	switch {
	case err != nil:
	case sel.IDs != nil:
		err = a.messages(sel.IDs)
	default:
		err = a.queues()
	}
	a.wait()
	if e := a.keepLater(); e != nil && err == nil {
		err = fmt.Errorf("what is in flight: the order cannot be kept on disk: %w", e)
	}
	if a.order.Verb == VerbThaw && !dry {
		if e := r.forget(); e != nil && err == nil {
			err = e
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	tally := a.tally
	tally.Refused = maps.Clone(tally.Refused) // what is in flight may be refused yet
	return tally, err
}

// action is an Act under way.
type action struct {
	r     *Runner
	ctx   context.Context
	sel   Selection
	order Order
	dry   bool
	infos map[string]Info
	each  map[string]*Order // the order for a queue, with what its match knows of it

	stages [stages]Info
	aside  map[mail.ID]bool

	slots chan struct{} // orders that are not in flight

	mu    sync.Mutex
	tally Tally
	later int
	news  chan struct{} // one of later ended; nil until somebody waits

	pending map[*pending]struct{} // those of later
	counted map[mail.ID]bool      // of those that are in several queues
}

// prepare finishes with what was ordered before, and looks at what is not routed yet.
func (a *action) prepare() error {
	a.pending, a.aside, a.counted = map[*pending]struct{}{}, map[mail.ID]bool{}, map[mail.ID]bool{}
	if a.dry {
		// Nothing to be finished with.
	} else if err := a.r.forget(); err != nil {
		return fmt.Errorf("orders that were carried out cannot be forgotten: %w", err)
	}
	for _, id := range a.r.c.Store.Aside() {
		a.aside[mail.ID(id)] = true
	}
	for _, q := range a.r.intakeInfo(a.r.c.Now()) {
		if s, ok := stageNamed(q.ID); ok {
			a.stages[s] = q
		}
	}
	return nil
}

// early says whether messages are meant that are not routed yet.
func (a *action) early() bool {
	return !a.sel.ByRule && (a.sel.Queues == nil || slices.ContainsFunc(a.sel.Queues, func(id string) bool { _, ok := stageNamed(id); return ok }))
}

func (a *action) info() {
	a.r.mu.Lock()
	list := a.r.sched.List(a.r.now())
	a.r.mu.Unlock()
	a.infos, a.each = map[string]Info{}, map[string]*Order{}
	for _, q := range list {
		if a.sel.Queues == nil || slices.ContainsFunc(a.sel.Queues, q.is) {
			a.infos[q.name] = q
		}
	}
}

// queues goes through the queues as they are now, page by page.
func (a *action) queues() error {
	if a.early() {
		if err := a.unrouted(); err != nil {
			return err
		}
	}
	a.info() // after that: what was routed meanwhile is met in its queue
	names := make([]string, 0, len(a.infos))
	for name := range a.infos {
		names = append(names, name)
	}
	slices.Sort(names)
	const page = 500
	for _, name := range names {
		for after, more := (spool.Position{}), true; more; {
			if err := a.ctx.Err(); err != nil {
				return err
			}
			list, err := a.r.c.Store.Entries(name, after, page)
			if err != nil {
				return fmt.Errorf("queue %s: %w", queueID(name), err)
			}
			for _, e := range list {
				after = spool.Position{Due: e.Due, ID: e.ID}
				if err := a.entry(name, e); err != nil {
					return err
				}
			}
			more = len(list) == page
		}
	}
	return nil
}

func (a *action) messages(ids []mail.ID) error {
	a.info()
	for _, id := range ids {
		st, err := a.r.c.Store.Load(spool.ID(id))
		switch {
		case errors.Is(err, spool.ErrNotFound):
			a.tally.Unknown = append(a.tally.Unknown, id)
			continue
		case err != nil:
			return fmt.Errorf("message %s: %w", id, err)
		case a.aside[id]:
			a.refuse(errAside)
			continue
		case st.Plan == nil:
			err = a.beforeRouting([]mail.ID{id}, true)
		default:
			err = a.planned(id, st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// planned carries out the order on the entries of a message.
func (a *action) planned(id mail.ID, st spool.Stored) error {
	for _, e := range st.Entries {
		if err := a.entry(e.Queue, spool.QueueEntry{ID: spool.ID(id), Due: e.Due, Tag: e.Tag}); err != nil {
			return err
		}
	}
	return nil
}

func (a *action) refuse(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tally.refuse(err)
}

// wait lets what is on its way come to disk, and for a while what is in flight.
func (a *action) wait() {
	for range outstanding {
		select {
		case a.slots <- struct{}{}:
		case <-a.ctx.Done():
		}
	}
	a.mu.Lock()
	a.news = make(chan struct{}, 1)
	left := a.later
	a.mu.Unlock()
	timer := time.NewTimer(orderWait)
	defer timer.Stop()
	for left > 0 {
		select {
		case <-a.news:
			a.mu.Lock()
			left = a.later
			a.mu.Unlock()
			continue
		case <-timer.C:
		case <-a.ctx.Done():
		}
		break
	}
	a.mu.Lock()
	a.tally.Later = a.later
	a.mu.Unlock()
}
