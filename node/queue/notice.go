package queue

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// The postmaster hears of each message that is set aside, reports too, as nobody else
// would miss one: once, over restarts and releases, and never of a notice, lest one that
// cannot be read make the next.

// noticeWait is when those are told of who could not be told before: the disk was
// failing, or the bound of reports was reached.
const noticeWait = time.Hour

// maxNoticed bounds the messages that were released of which a notice is remembered;
// the oldest are forgotten first.
const maxNoticed = 256

// notify tells of a message that was set aside, and notes that on its record. The
// caller holds asideMu, so that no two tell of one message.
func (r *Runner) notify(id mail.ID, d codec.Damage) {
	a := Aside{id, d}
	if !d.Notice.IsZero() || r.isNotice(id) {
		return
	}
	notice, err := r.tell(a)
	if err == nil && !notice.IsZero() {
		d.Notice = notice
		err = r.c.Store.SetAsideNote(spool.ID(id), codec.EncodeDamage(d))
	}
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		r.log.Error("quarantine_notice_failed", zap.Stringer("id", id), zap.Error(err))
	}
}

// tell asks the reporter; a panic there is an error.
func (r *Runner) tell(a Aside) (notice mail.ID, err error) {
	defer r.caught("reporter", a.ID, &err)
	return r.c.Reporter.SetAside(a)
}

// noticeOf is the notice of a message that is aside, or was before it was released.
func (r *Runner) noticeOf(id mail.ID) mail.ID {
	if n := r.notedNotice(id); !n.IsZero() {
		return n
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	n, _ := mail.ParseID(r.ctl.Noticed[id.String()])
	return n
}

func (r *Runner) notedNotice(id mail.ID) mail.ID {
	note, err := r.c.Store.AsideNote(spool.ID(id))
	if err != nil {
		return mail.ID{}
	}
	d, err := codec.DecodeDamage(note)
	if err != nil {
		return mail.ID{}
	}
	return d.Notice
}

// isNotice says whether a message is one of these notices, whatever of it can be read.
func (r *Runner) isNotice(id mail.ID) bool {
	for _, other := range r.c.Store.Aside() {
		if r.notedNotice(mail.ID(other)) == id {
			return true
		}
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(r.ctl.Noticed)), id.String())
}

// rememberNotice keeps beyond a release that a message was told of.
func (r *Runner) rememberNotice(id mail.ID) error {
	notice := r.notedNotice(id)
	if notice.IsZero() {
		return nil
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Noticed = maps.Clone(r.ctl.Noticed)
	if next.Noticed == nil {
		next.Noticed = map[string]string{}
	}
	next.Noticed[id.String()] = notice.String()
	for len(next.Noticed) > maxNoticed {
		delete(next.Noticed, slices.Min(slices.Collect(maps.Keys(next.Noticed)))) // IDs begin with their time
	}
	return r.keep(next)
}

func (r *Runner) notifyLate(id mail.ID) {
	r.asideMu.Lock()
	defer r.asideMu.Unlock()
	note, err := r.c.Store.AsideNote(spool.ID(id))
	if err != nil {
		return // released meanwhile
	}
	if d, err := codec.DecodeDamage(note); err == nil {
		r.notify(id, d)
	}
}

// noticeLoop tells of what was set aside and could not be told of then.
func (r *Runner) noticeLoop(ctx context.Context) {
	tick := time.NewTicker(noticeWait)
	defer tick.Stop()
	for {
		for _, id := range r.c.Store.Aside() {
			if ctx.Err() != nil {
				return
			}
			r.notifyLate(mail.ID(id))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
