package queue

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// orderFor is the order with what is known of a queue now: a match that asks for
// its state is not to change its mind between choosing and doing.
func (a *action) orderFor(name string) *Order {
	if o := a.each[name]; o != nil {
		return o
	}
	o := a.order
	info, match := a.infos[name], a.sel.Match
	if match != nil {
		o.Match = func(it Item) bool {
			it.Queue = info
			it.Due = info.ready(Ref{Due: it.Due, Attempts: it.Attempts, Failed: it.failed}, a.r.now())
			it.LastErr = cmp.Or(it.LastErr, info.LastError)
			it.Errors = slices.Clone(it.Errors)
			for i, text := range it.Errors {
				it.Errors[i] = cmp.Or(text, info.LastError)
			}
			return match(it)
		}
	}
	a.each[name] = &o
	return &o
}

// entry counts one entry and, unless dry, has the order carried out.
func (a *action) entry(name string, e spool.QueueEntry) error {
	info, chosen := a.infos[name]
	if !chosen {
		return nil
	}
	key, err := ParseName(name)
	if err != nil {
		return err
	}
	o := a.orderFor(name)
	id := mail.ID(e.ID)
	if o.idle(key) {
		a.recall(name, id)
		return nil
	}
	t, err := decodeTag(e.Tag, true)
	if err != nil {
		a.refuse(err)
		return nil
	}
	ref := refOf(id, e.Due, t, e.Tag)
	targets, octets, err := a.look(key, info, o, ref)
	switch {
	case errors.Is(err, spool.ErrNotFound) || err == nil && len(targets) == 0:
		return nil
	case err != nil:
		a.refuse(err)
		return nil
	}
	if err := a.r.refuses(o, key); err != nil {
		a.refuse(err)
		return nil
	}
	if a.dry {
		a.count(ref, len(targets), octets)
		return nil
	}
	return a.give(name, ref, targets, o)
}

// recall lets a message go, named by its ID, that was to be frozen after the attempt
// that it is in.
func (a *action) recall(name string, id mail.ID) {
	if a.order.Verb != VerbThaw || a.sel.IDs == nil {
		return
	}
	n := 0
	a.r.do(func(int64) { n = a.r.sched.Recall(name, id, a.dry) })
	if n > 0 {
		a.mu.Lock()
		a.tally.count(id, 0, 0)
		a.mu.Unlock()
	}
}

// look gives the targets that match, and the message's octets.
func (a *action) look(key Key, info Info, o *Order, ref Ref) (mine []int, octets int64, err error) {
	st, err := a.r.c.Store.Load(spool.ID(ref.ID))
	if err != nil {
		return nil, 0, err
	}
	m, err := decodeMessage(st)
	if err != nil {
		return nil, 0, err
	}
	targets, err := targetsOf(ref, len(m.targets))
	if err != nil {
		return nil, 0, err
	}
	it := a.r.item(key, mail.Hop{Name: info.NextHop, ConnectorName: info.Connector}, m, ref)
	it.Recipients, it.Errors = shown(m, targets), lastErrors(st.Outcomes, targets)
	for n, i := range targets {
		it.Target, it.LastErr = m.targets[i], it.Errors[n]
		if o.Match == nil || o.Match(it) {
			mine = append(mine, i)
		}
	}
	return mine, m.env.Size, nil
}

// give has an order carried out on an entry. Not more than some are on their way
// at a time; those in flight do not count, as they may take long.
func (a *action) give(name string, ref Ref, targets []int, o *Order) error {
	select {
	case a.slots <- struct{}{}:
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
	given := *o
	later := false
	wait := &pending{id: ref.ID, targets: targets}
	var once sync.Once
	free := func() { once.Do(func() { <-a.slots }) }
	given.done = func(res Result) {
		a.mu.Lock()
		switch {
		case res.Err != nil:
			a.tally.refuse(res.Err)
		case !res.Void:
			a.count(ref, res.Recipients, res.Octets)
			if res.Untold {
				a.tally.Untold++
			}
		}
		if later { // once, though it may have parted and come back twice
			later = false
			a.later--
			delete(a.pending, wait)
			if wait.seq != 0 {
				a.r.fulfil(wait.seq)
			}
			if a.news != nil {
				signal(a.news)
			}
		}
		a.mu.Unlock()
		free()
	}
	var got Receipt
	a.r.do(func(now int64) {
		// Under the runner's lock, so that done cannot come before it is known
		// that it will come late.
		if got = a.r.sched.Order(name, ref, &given, now); got == OrderLater {
			a.mu.Lock()
			later = true
			a.later++
			a.pending[wait] = struct{}{}
			a.mu.Unlock()
		}
	})
	if got != OrderTaken {
		free()
	}
	return nil
}

// item is what is known of an entry and of none of its targets.
func (r *Runner) item(key Key, hop mail.Hop, m *message, ref Ref) Item {
	return Item{Key: key, Hop: hop, Envelope: m.env, Created: ref.Created, Attempts: ref.Attempts, Due: ref.Due, Exempt: ref.Exempt, failed: ref.Failed}
}

// lastErrors are the last errors of these targets; "" of those that have none.
func lastErrors(records []spool.OutcomeRecord, targets []int) []string {
	list := make([]string, len(targets))
	if len(records) == 0 {
		return list
	}
	place := make(map[int]int, len(targets))
	for n, target := range targets {
		place[target] = n
	}
	for _, rec := range records {
		n, mine := place[int(rec.Target)]
		if !mine {
			continue
		}
		if last, err := codec.DecodeAttempt(rec.Payload); err == nil {
			list[n] = last.Text
		}
	}
	return list
}

// count counts a message once, in however many queues it is met. The caller holds mu, or
// is alone.
func (a *action) count(ref Ref, recipients int, octets int64) {
	if ref.Multi {
		if a.counted[ref.ID] {
			a.tally.Recipients += recipients
			return
		}
		a.counted[ref.ID] = true
	}
	a.tally.count(ref.ID, recipients, octets)
}

// untold says whether the sender was due a report and gets none.
func untold(env *mail.Envelope, targets []mail.Target, reports []spool.Incoming) bool {
	return !env.Null() && len(reports) == 0 && slices.ContainsFunc(targets, func(t mail.Target) bool { return t.Notify.WantsFailure() })
}
