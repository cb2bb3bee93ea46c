package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// A message of which a part cannot be read is set aside when that is found: it
// leaves its queues, is not tried, does not expire, and nobody is told but the
// postmaster (notice.go), who has the disk mended and releases it, or deletes it. An error of
// the disk that is no damage (ErrCorrupt) may pass, and is tried again (unread.go).

// damaged says whether an error tells of octets that are not what was written, or of
// a message that crashed what processed it, or failed to be read, too often.
func damaged(err error) bool {
	return errors.Is(err, errCrashed) || errors.Is(err, errUnread) || errors.Is(err, spool.ErrCorrupt) || errors.Is(err, codec.ErrCorrupt) || errors.Is(err, errTag)
}

// quarantine sets the entries of a message aside, or, without entries, the message
// that has no plan yet. env is nil if it cannot be read. The caller holds asideMu.
func (r *Runner) quarantine(id mail.ID, env *mail.Envelope, cause error, taken ...Taken) error {
	d := codec.Damage{At: r.c.Now(), Reason: cause.Error(), Crashed: errors.Is(cause, errCrashed)}
	if env == nil {
		if st, err := r.c.Store.Load(spool.ID(id)); err == nil {
			env, _ = codec.DecodeEnvelope(st.Envelope)
		}
	}
	if env != nil {
		d.Origin, d.MessageID, d.Sender, d.Size = env.Origin, env.MessageID, env.From.String(), env.Size
		for _, rcpt := range env.Recipients {
			d.Recipients = append(d.Recipients, rcpt.Address.String())
		}
	}
	d.Notice = r.noticeOf(id)
	entries := make([]spool.Entry, len(taken))
	for i, t := range taken {
		entries[i] = spool.Entry{Queue: t.Queue, Due: t.Ref.Due, Tag: t.Ref.Tag}
	}
	if err := r.c.Store.SetAside(spool.ID(id), codec.EncodeDamage(d), entries...); err != nil {
		return err
	}
	r.cache.remove(id)
	r.unread.forget(id)
	cure := "mend the disk, then postroadctl queue quarantine release or delete"
	if d.Crashed {
		cure = "report the fault with message_crashed, then postroadctl queue retry poison, or queue quarantine delete"
	}
	r.log.Error("message_quarantined", zap.Stringer("id", id), zap.Stringer("origin", d.Origin), zap.String("sender", d.Sender),
		zap.Strings("recipients", d.Recipients), zap.String("cure", cure), zap.Error(cause))
	r.notify(id, d)
	return nil
}

// setAside deals with entries in flight whose message cannot be read.
func (r *Runner) setAside(taken []Taken, env *mail.Envelope, err error) {
	r.asideMu.Lock()
	defer r.asideMu.Unlock()
	id := taken[0].Ref.ID
	tries, err := r.unread.doubt(id, err)
	gone := errors.Is(err, spool.ErrNotFound) // removed by an administrator after it was queued
	if damaged(err) {
		cause := err
		if err = r.quarantine(id, env, cause, taken...); err == nil {
			gone = true
		}
	}
	wait := poisonWait
	if tries > 0 {
		wait = readWait(tries)
	}
	if errors.Is(err, spool.ErrFailed) || errors.Is(err, spool.ErrClosed) || errors.Is(err, spool.ErrFull) {
		wait = diskWait
	}
	if !gone {
		r.log.Error("message_unreadable", zap.Stringer("id", id), zap.Error(err), zap.Duration("retry_in", wait))
	}
	r.do(func(now int64) {
		for _, t := range taken {
			if gone {
				r.sched.Gone(t.Queue, id, now)
			} else {
				r.sched.PutOff(t.Queue, id, fmt.Sprintf("message %s cannot be read: %v", id, err), now+wait.Milliseconds(), now)
			}
		}
		r.quiet.Broadcast()
	})
}

// spoiled sets a delivery aside whose content turned out to be unreadable. One
// that reached some recipients is settled first; the others find the same next time.
func (r *Runner) spoiled(d *delivery, outcomes []mail.Outcome) bool {
	c, ok := d.Content.(*content)
	if !ok || c.damage.Load() == nil {
		return false
	}
	for _, o := range outcomes {
		if o.Result == mail.Delivered {
			return false
		}
	}
	r.setAside(d.taken(), d.Envelope, *c.damage.Load())
	return true
}

func (d *delivery) taken() []Taken {
	taken := make([]Taken, len(d.parts))
	for i, p := range d.parts {
		taken[i] = Taken{Queue: p.queue, Ref: p.ref}
	}
	return taken
}

// watched is a body that is being read; damage is remembered, and the watchdog
// told that it is read: a large message on a slow line is alive.
type watched struct {
	*spool.BodyReader
	damage *atomic.Pointer[error]
	beat   func()
}

func (w watched) note(err error) {
	if err != nil && (damaged(err) || errors.Is(err, spool.ErrUnreadable)) {
		w.damage.Store(&err)
	}
}

// Quarantined lists what is set aside, by ID.
func (r *Runner) Quarantined() []Message {
	var out []Message
	for _, id := range r.c.Store.Aside() {
		m := Message{ID: mail.ID(id), Queue: IDQuarantine, Kind: KindQuarantine, Created: mail.ID(id).Time(), Received: mail.ID(id).Time()}
		note, err := r.c.Store.AsideNote(id)
		if errors.Is(err, spool.ErrNotFound) {
			continue // released meanwhile
		}
		var d codec.Damage
		if err == nil {
			d, err = codec.DecodeDamage(note)
		}
		m.Origin, m.MessageID, m.Sender, m.Recipients, m.Size = d.Origin, d.MessageID, d.Sender, d.Recipients, d.Size
		if d.Crashed {
			m.Queue, m.Kind = IDPoison, KindPoison
		}
		m.State, m.LastError = Frozen.String(), d.Reason
		if err != nil {
			m.LastError = cmp.Or(m.LastError, err.Error())
		}
		out = append(out, m)
	}
	return out
}

// Release puts a message that was set aside back where it was; it is tried at
// once. Errors: those of spool.Release.
func (r *Runner) Release(id mail.ID) error {
	submitted, err := r.putBack(id)
	if err == nil && submitted {
		r.Enqueue(id, nil)
	}
	return err
}

// putBack says whether the message has no plan yet, so that no queue has it.
func (r *Runner) putBack(id mail.ID) (submitted bool, err error) {
	r.asideMu.Lock()
	defer r.asideMu.Unlock()
	r.unread.forget(id)
	if err := r.forgive(id); err != nil {
		return false, err
	}
	if err := r.rememberNotice(id); err != nil {
		return false, err
	}
	entries, submitted, err := r.c.Store.Release(spool.ID(id))
	if err != nil {
		return false, err
	}
	r.log.Info("message_unquarantined", zap.Stringer("id", id))
	for _, e := range entries {
		key, err := ParseName(e.Queue)
		if err != nil {
			r.log.Error("queue_name_unreadable", zap.String("queue", e.Queue), zap.Error(err))
			continue
		}
		ref := Ref{ID: id, Due: e.Due, Tag: e.Tag, Created: id.Time().UnixMilli()}
		if t, err := decodeTag(e.Tag, false); err == nil {
			ref = refOf(id, e.Due, t, e.Tag)
		}
		r.do(func(now int64) {
			if !r.sched.Has(e.Queue) {
				r.sched.AddQueue(key, r.hop(key), false, now) // asked here: no change of the table comes between
			}
			if r.sched.Reserve(e.Queue, id) { // else it was read from the spool already
				r.sched.Commit(e.Queue, ref, now)
			}
		})
	}
	return submitted, nil
}

// retryHealed has the messages tried again that were set aside before the spool was healed: a
// block that could not be read kept all that it could have held from being read, not only what
// it held. What still cannot be read is set aside once more, and nobody hears of it twice.
func (r *Runner) retryHealed(ctx context.Context) {
	healed := r.c.Store.Healed()
	if healed.IsZero() {
		return
	}
	n := 0
	for _, id := range r.c.Store.Aside() {
		note, err := r.c.Store.AsideNote(id)
		if ctx.Err() != nil {
			return
		}
		d, bad := codec.DecodeDamage(note)
		if err != nil || bad != nil || d.Crashed || !d.At.Before(healed.Add(time.Second)) {
			continue
		}
		if err := r.Release(mail.ID(id)); err != nil {
			r.log.Error("message_not_released", zap.Stringer("id", mail.ID(id)), zap.Error(err))
			continue
		}
		n++
	}
	if n > 0 {
		r.log.Info("healed_messages_retried", zap.Int("messages", n), zap.Time("healed", healed))
	}
}

// Discard deletes a message that was set aside. Nobody is told. Errors: those of
// spool.Remove; ErrNotFound too for one that is not set aside.
func (r *Runner) Discard(id mail.ID) error {
	if _, err := r.c.Store.AsideNote(spool.ID(id)); err != nil && !damaged(err) {
		return err
	}
	if err := r.c.Store.Remove(spool.ID(id)); err != nil {
		return err
	}
	r.log.Warn("message_discarded", zap.Stringer("id", id))
	return nil
}

// quarantineInfo is the queue of what is set aside.
func (r *Runner) quarantineInfo(now time.Time) Info {
	q := Info{ID: IDQuarantine, Kind: KindQuarantine, State: Ready}
	for _, m := range r.Quarantined() {
		if m.Queue != IDQuarantine {
			continue
		}
		q.State, q.Messages, q.OldestAge = Frozen, q.Messages+1, max(q.OldestAge, now.Sub(m.Created))
		q.WaitingFor = "an administrator: they cannot be read; postroadctl queue quarantine release or delete"
	}
	return q
}
