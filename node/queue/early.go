package queue

import (
	"errors"
	"fmt"
	"maps"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// A message that has no plan yet stands in no queue of the spool, so what an
// administrator said of it is kept with what he said of whole queues. Stopped, it is
// not looked at: the categorizer meets it when it is let go.

// early is what is kept of one message without a plan.
type early struct {
	Note Note `json:"note"` // why it is frozen; At is 0 of one that was thawed
	// Paused is how long it was frozen before, ms: its time stood still.
	Paused int64 `json:"paused,omitempty"`
	// Sent is where an administrator sent it, for when it is routed; nil: nowhere.
	Sent *redirection `json:"sent,omitempty"`
}

// redirection is the order to send a message another way, kept until there are ways.
type redirection struct {
	To   Way  `json:"to"`
	Note Note `json:"note"`
}

func (e early) frozen() bool { return e.Note.At != 0 }

// maxEarly bounds the messages of which that is kept.
const maxEarly = 10_000

var (
	errManyEarly = fmt.Errorf("%d messages before routing have orders of their own already; freeze their queue, or redirect by a MailRule", maxEarly)
	errPartEarly = errors.New("the filter means some of its recipients only, and it is not routed yet: freeze it, or wait")
	errAside     = errors.New("it is set aside: postroadctl queue quarantine release or delete")
	errBusyEarly = errors.New("it is being routed at this moment; try again")
)

// restoreEarly makes known what is stopped before routing. What is not there any more,
// or was routed, is forgotten. ctlMu must be held.
func (r *Runner) restoreEarly() error {
	r.inMu.Lock()
	defer r.inMu.Unlock()
	for text := range r.ctl.Early {
		id, err := mail.ParseID(text)
		if err == nil {
			var st spool.Stored
			if st, err = r.c.Store.Load(spool.ID(id)); err == nil && st.Plan != nil {
				err = spool.ErrNotFound
			}
		}
		if errors.Is(err, spool.ErrNotFound) {
			delete(r.ctl.Early, text)
			continue
		}
		if err == nil && r.ctl.Early[text].frozen() {
			r.intake.held.one[id] = struct{}{}
		}
	}
	r.early.Store(int32(len(r.ctl.Early)))
	for id := range r.ctl.Stages {
		if s, ok := stageNamed(id); ok {
			r.intake.held.frozen[s] = true
		}
	}
	return nil
}

// gated stops a message before a stage, if that is wanted.
func (r *Runner) gated(id mail.ID, s stage) bool {
	r.inMu.Lock()
	defer r.inMu.Unlock()
	return r.intake.gate(id, s)
}

// begins is when the time of a message begins to count, Unix ms.
func (r *Runner) begins(env *mail.Envelope) int64 {
	at := env.Begins().UnixMilli()
	if r.early.Load() == 0 {
		return at
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	return at + r.ctl.Early[env.ID.String()].Paused
}

// routed forgets what was kept of a message before it had a plan. It goes from the disk
// with the next order, or the next start.
func (r *Runner) routed(id mail.ID) {
	if r.early.Load() == 0 {
		return
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	if _, ok := r.ctl.Early[id.String()]; ok {
		r.ctl.Early = maps.Clone(r.ctl.Early)
		delete(r.ctl.Early, id.String())
		r.early.Store(int32(len(r.ctl.Early)))
	}
}

// FreezeStages stops queues before routing, by their IDs, until ThawStages, over
// restarts too: what comes in stays. It returns how many were not frozen before.
func (r *Runner) FreezeStages(ids []string, note Note) (int, error) {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next, changed := r.ctl, 0
	next.Stages, changed = frozenToo(r.ctl.Stages, ids, note)
	if err := r.keep(next); err != nil {
		return 0, err
	}
	r.inMu.Lock()
	defer r.inMu.Unlock()
	for _, id := range ids {
		if s, ok := stageNamed(id); ok {
			r.intake.held.frozen[s] = true
		}
	}
	return changed, nil
}

// ThawStages lets queues before routing go and returns how many were frozen.
func (r *Runner) ThawStages(ids []string) (int, error) {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next, changed := r.ctl, 0
	if next.Stages, changed = frozenNoMore(r.ctl.Stages, ids); changed == 0 {
		return 0, nil
	}
	if err := r.keep(next); err != nil {
		return 0, err
	}
	r.inMu.Lock()
	for _, id := range ids {
		if s, ok := stageNamed(id); ok {
			r.intake.open(s)
		}
	}
	r.inMu.Unlock()
	signal(r.work)
	return changed, nil
}

// earlyNote is why a message without a plan is frozen by itself, zero if it is not.
func (r *Runner) earlyNote(id mail.ID) Note {
	if r.early.Load() == 0 {
		return Note{}
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	return r.ctl.Early[id.String()].Note
}

// sent is where an administrator sent a message that has no plan yet; nil: nowhere.
func (r *Runner) sent(id mail.ID) *redirection {
	if r.early.Load() == 0 {
		return nil
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	return r.ctl.Early[id.String()].Sent
}

// redirect gives the queue for a recipient of a message that was sent another way before it was
// routed; an error says why it takes the usual way.
func (s *redirection) redirect(r *Runner, key Key) (Key, error) {
	o := Order{Verb: VerbRedirect, To: s.To}
	if err := r.refuses(&o, key); err != nil {
		return key, err
	}
	return o.to(key), nil
}
