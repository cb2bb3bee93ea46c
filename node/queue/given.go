package queue

import (
	"context"
	"errors"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// An order for a message in flight is carried out when the attempt is finished. If the
// administrator is answered before that, it is kept, so that the node may die in
// between: the next start gives the order before any connection can take the message.

// givenOrder is an order that is kept. It names recipients, not queues: what it was given
// for may stand elsewhere by then, and what is done already is not there to be found.
type givenOrder struct {
	Seq     uint64      `json:"seq"`
	ID      string      `json:"id"`
	Targets []int       `json:"targets"` // indexes into the plan
	Verb    Verb        `json:"verb"`
	Note    Note        `json:"note"`
	Hold    string      `json:"hold,omitempty"`
	Report  bool        `json:"report,omitempty"`
	Status  mail.Status `json:"status"`
	To      Way         `json:"to"`
}

func (g givenOrder) order() Order {
	targets := g.Targets
	return Order{Verb: g.Verb, Note: g.Note, Hold: g.Hold, Report: g.Report, Status: g.Status, To: g.To, only: func(i int) bool { return slices.Contains(targets, i) }}
}

// given counts the orders that are kept, and those among them that need not be any more.
type given struct {
	mu   sync.Mutex
	last uint64
	done []uint64
	news chan struct{} // something is done
}

// fulfil says that an order need not be kept any longer.
func (r *Runner) fulfil(seq uint64) {
	r.kept.mu.Lock()
	r.kept.done = append(r.kept.done, seq)
	r.kept.mu.Unlock()
	signal(r.kept.news)
}

// forget takes those off the disk that were fulfilled. Until then a kill has them given
// again, which changes nothing; so an administrator who lets go what was frozen has it
// called first.
func (r *Runner) forget() error {
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	r.kept.mu.Lock()
	done := r.kept.done
	r.kept.done = nil
	r.kept.mu.Unlock()
	next := r.ctl
	next.Given = slices.DeleteFunc(slices.Clone(r.ctl.Given), func(g givenOrder) bool { return slices.Contains(done, g.Seq) })
	if len(next.Given) == len(r.ctl.Given) {
		return nil
	}
	err := r.keep(next)
	if err != nil {
		r.kept.mu.Lock()
		r.kept.done = append(r.kept.done, done...)
		r.kept.mu.Unlock()
	}
	return err
}

// forgetLoop forgets soon what was fulfilled.
func (r *Runner) forgetLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kept.news:
		}
		if err := r.forget(); err != nil {
			r.log.Warn("order_not_forgotten", zap.Error(err)) // the next order tries again
		}
	}
}

// pending is an order of an action for an entry in flight.
type pending struct {
	id      mail.ID
	targets []int
	seq     uint64 // under which it is kept; 0: it is not
}

// keepLater keeps what is still on its way when the administrator is answered.
func (a *action) keepLater() error {
	if a.sel.ByRule || a.dry {
		return nil // what a rule means is looked for at each start
	}
	r := a.r
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Given = slices.Clone(r.ctl.Given)
	o := &a.order
	a.mu.Lock()
	r.kept.mu.Lock()
	list := make([]*pending, 0, len(a.pending))
	for p := range a.pending {
		r.kept.last++
		p.seq = r.kept.last
		list = append(list, p)
		next.Given = append(next.Given, givenOrder{
			Seq: p.seq, ID: p.id.String(), Targets: p.targets, Verb: o.Verb, Note: o.Note, Hold: o.Hold, Report: o.Report, Status: o.Status, To: o.To,
		})
	}
	r.kept.mu.Unlock()
	a.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	err := r.keep(next)
	if err != nil {
		a.mu.Lock()
		for _, p := range list {
			p.seq = 0
		}
		a.mu.Unlock()
	}
	return err
}

// resumedOrder is an order to be given again.
type resumedOrder struct {
	ref   Ref
	order *Order
}

// resume reads the orders that were kept, by the queue in which the message is now.
func (r *Runner) resume() (map[string][]resumedOrder, error) {
	r.ctlMu.Lock()
	list := r.ctl.Given
	r.ctlMu.Unlock()
	out := map[string][]resumedOrder{}
	for _, g := range list {
		r.kept.mu.Lock()
		r.kept.last = max(r.kept.last, g.Seq)
		r.kept.mu.Unlock()
		id, err := mail.ParseID(g.ID)
		if err != nil {
			r.fulfil(g.Seq)
			continue
		}
		st, err := r.c.Store.Load(spool.ID(id))
		if errors.Is(err, spool.ErrClosed) {
			return nil, err
		}
		o := g.order()
		var queues []string
		for _, e := range st.Entries {
			t, err := decodeTag(e.Tag, true)
			if err == nil && (t.targets == nil || slices.ContainsFunc(t.targets, o.only)) {
				queues = append(queues, e.Queue)
			}
		}
		left := len(queues)
		var mu sync.Mutex
		o.done = func(res Result) {
			r.log.Info("queue_action_resumed", zap.Stringer("action", g.Verb), zap.Stringer("id", id), zap.String("who", g.Note.By), zap.String("reason", g.Note.Reason),
				zap.Int("recipients", res.Recipients), zap.Bool("nothing_left", res.Void), zap.Error(res.Err))
			mu.Lock()
			left--
			last := left == 0
			mu.Unlock()
			if last {
				r.fulfil(g.Seq)
			}
		}
		if left == 0 {
			r.fulfil(g.Seq)
		}
		for _, q := range queues {
			out[q] = append(out[q], resumedOrder{Ref{ID: id}, &o})
		}
	}
	return out, nil
}
