package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/store/spool"
)

// stopOrders is what an administrator said of whole queues. It is kept in the
// spool, beside the messages that it is about: a restart finds it before the
// first message moves.
type stopOrders struct {
	Frozen   map[string]Note `json:"frozen,omitempty"` // by the queue's name
	Outbound *Note           `json:"outbound,omitempty"`
	// Standing freezes hold for queues to come, Stages are frozen before routing, by
	// the ID of their queue.
	Standing []Standing      `json:"standing,omitempty"`
	Stages   map[string]Note `json:"stages,omitempty"`
	// Early are messages without a plan that were frozen or redirected by themselves, by ID.
	Early map[string]early `json:"early,omitempty"`
	// Given are orders for messages that were in flight, in the order of giving.
	Given []givenOrder `json:"given,omitempty"`
	// Sizes are the limits by which all that waits has its size class.
	Sizes []int64 `json:"sizes,omitempty"`
	// Crashed is no order, but has to survive a restart as well: messages whose
	// processing has crashed, by ID.
	Crashed map[string]crash `json:"crashed,omitempty"`
	// Noticed are messages that were set aside and released since, with the IDs of the
	// notices about them.
	Noticed map[string]string `json:"noticed,omitempty"`
}

// restore reads it back. Of one that cannot be read, everything is stopped that may
// have been: to send what was to be stopped cannot be taken back.
func (r *Runner) restore() error {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	return r.ctlErr
}

// lockOrders locks ctlMu when what stands was read. An order may come before the start has
// come that far, and what is kept for it replaces all that the disk has.
func (r *Runner) lockOrders() {
	r.ctlMu.Lock()
	if !r.restored {
		r.restored = true
		r.ctlErr = r.readOrders()
	}
}

// readOrders reads what stands. ctlMu must be locked.
func (r *Runner) readOrders() error {
	b, err := r.c.Store.Control()
	if errors.Is(err, spool.ErrCorrupt) || errors.Is(err, spool.ErrUnreadable) {
		return r.stopAll(err)
	}
	if err != nil || b == nil {
		return err
	}
	var kept stopOrders // of one that cannot be read, no part stands
	if err := json.Unmarshal(b, &kept); err != nil {
		return fmt.Errorf("frozen queues: what the spool kept of them cannot be read: %w", err)
	}
	r.ctl = kept
	standing := r.judged(r.ctl.Standing)
	r.do(func(int64) { r.sched.Restore(r.ctl.Frozen, standing, r.ctl.Outbound) })
	return r.restoreEarly()
}

// stopAll is for orders that the disk does not give: all queues are frozen, and new
// mail and outbound mail wait, until an administrator says what is to move. ctlMu must be
// locked.
func (r *Runner) stopAll(cause error) error {
	heads, err := r.c.Store.Queues()
	if err != nil {
		return err
	}
	note := Note{Reason: "what was frozen cannot be read from the disk", At: r.now()}
	next := stopOrders{Frozen: map[string]Note{}, Outbound: &note, Stages: map[string]Note{IDPreSubmission: note}}
	for _, h := range heads {
		next.Frozen[h.Queue] = note
	}
	r.log.Error("orders_unreadable", zap.Int("queues", len(heads)), zap.Error(cause),
		zap.String("cure", "thaw what is to move with postroadctl queue thaw and node outbound enable"))
	if err := r.keep(next); err != nil {
		return err
	}
	r.do(func(int64) { r.sched.Restore(r.ctl.Frozen, nil, r.ctl.Outbound) })
	return r.restoreEarly()
}

// addFrozen makes the frozen queues known that are empty.
func (r *Runner) addFrozen() {
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	for name, note := range r.ctl.Frozen {
		key, err := ParseName(name)
		if err != nil {
			r.log.Error("queue_name_unreadable", zap.String("queue", name), zap.Error(err))
			continue
		}
		r.do(func(now int64) { r.sched.Freeze(key, r.hop(key), note, now) })
	}
}

// keep writes what is to stand, and makes it so.
func (r *Runner) keep(next stopOrders) error {
	if r.ctlErr != nil {
		return r.ctlErr
	}
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := r.c.Store.SetControl(b); err != nil {
		return err
	}
	r.ctl = next
	return nil
}

// frozenToo are the frozen ones when some more are, and how many of them were not before.
func frozenToo(was map[string]Note, names []string, note Note) (all map[string]Note, changed int) {
	if all = maps.Clone(was); all == nil {
		all = map[string]Note{}
	}
	for _, name := range names {
		all[name] = note
	}
	return all, len(all) - len(was)
}

// frozenNoMore are the frozen ones without some, and how many of those were.
func frozenNoMore(was map[string]Note, names []string) (left map[string]Note, changed int) {
	left = maps.Clone(was)
	for _, name := range names {
		delete(left, name)
	}
	return left, len(was) - len(left)
}

// FreezeQueues stops queues by their names until ThawQueues, over restarts too. It
// returns when that is on disk, with how many were not frozen before.
func (r *Runner) FreezeQueues(names []string, note Note) (int, error) {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	for _, name := range names {
		if _, err := ParseName(name); err != nil {
			return 0, err
		}
	}
	next, changed := r.ctl, 0
	next.Frozen, changed = frozenToo(r.ctl.Frozen, names, note)
	if err := r.keep(next); err != nil {
		return 0, err
	}
	for _, name := range names {
		key, _ := ParseName(name)
		r.do(func(now int64) { r.sched.Freeze(key, r.hop(key), note, now) })
	}
	return changed, nil
}

// ThawQueues lets frozen queues go and returns how many were frozen.
func (r *Runner) ThawQueues(names []string) (int, error) {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next, changed := r.ctl, 0
	if next.Frozen, changed = frozenNoMore(r.ctl.Frozen, names); changed == 0 {
		return 0, nil
	}
	if err := r.keep(next); err != nil {
		return 0, err
	}
	r.do(func(now int64) {
		for _, name := range names {
			r.sched.Thaw(name, now)
		}
	})
	return changed, nil
}

// SetOutbound stops everything that leaves this server, over restarts too; nil
// lets it go. Local delivery goes on.
func (r *Runner) SetOutbound(stop *Note) error {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Outbound = stop
	if err := r.keep(next); err != nil {
		return err
	}
	r.do(func(now int64) { r.sched.SetOutbound(stop, now) })
	return nil
}

// Outbound is why nothing leaves this server; nil: it does.
func (r *Runner) Outbound() *Note {
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	return r.ctl.Outbound
}

// Stopped counts the frozen queues, stages and standing freezes, and the messages that are held one by one, by
// hold.
func (r *Runner) Stopped() (queues int, held map[string]int64) {
	r.ctlMu.Lock()
	queues = len(r.ctl.Frozen) + len(r.ctl.Stages) + len(r.ctl.Standing)
	held = map[string]int64{}
	for _, e := range r.ctl.Early {
		if e.frozen() {
			held[HoldByHand]++
		}
	}
	r.ctlMu.Unlock()
	heads, err := r.c.Store.Queues()
	if err != nil {
		return queues, held
	}
	for _, h := range heads {
		if k, err := ParseName(h.Queue); err == nil && k.Hold != "" {
			held[k.Hold] += r.c.Store.Weigh(h.Queue).Entries
		}
	}
	return queues, held
}

// NoteOf is a note of this moment.
func NoteOf(by, reason string, now time.Time) Note {
	return Note{By: by, Reason: reason, At: now.UnixMilli()}
}
