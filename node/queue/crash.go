package queue

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// A panic in what processes a message (the categorizer, an agent, the reporter) is
// a fault of this program that this message brings out. It is caught and the message
// tried once more; the second time, over restarts too, the message is set aside
// until an administrator has it tried again.

// maxCrashes is how often processing a message may crash.
const maxCrashes = 2

// crashWait is how long the second attempt waits.
const crashWait = time.Minute

// maxCrashed bounds the messages of which a crash is remembered; the oldest are
// forgotten first.
const maxCrashed = 256

// crash is what is remembered of them.
type crash struct {
	Times int       `json:"times"`
	Last  time.Time `json:"last"`
}

// errCrashed: processing has crashed too often; the message is to be set aside.
var errCrashed = errors.New("processing this message crashed twice")

// panicError is a panic that was caught.
type panicError struct {
	where string
	value any
}

func (e *panicError) Error() string {
	return fmt.Sprintf("internal error of the %s: %v", e.where, e.value)
}

func crashed(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// caught makes an error of a panic; it must be deferred itself.
func (r *Runner) caught(where string, id mail.ID, err *error) {
	if v := recover(); v != nil {
		r.log.Error("message_crashed", zap.Stringer("id", id), zap.String("part", where), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
		*err = &panicError{where, v}
	}
}

// blame counts a panic against the message; the error that comes back wraps
// errCrashed when it was the last. Other errors come back as they are.
func (r *Runner) blame(id mail.ID, err error) error {
	if !crashed(err) {
		return err
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	c := r.ctl.Crashed[id.String()]
	c.Times, c.Last = c.Times+1, r.c.Now()
	if e := r.remember(id, &c); e != nil {
		r.log.Error("crash_not_noted", zap.Stringer("id", id), zap.Error(e))
	}
	if c.Times < maxCrashes {
		return err
	}
	return fmt.Errorf("%w: %w", errCrashed, err)
}

// forgive forgets the crashes of a message.
func (r *Runner) forgive(id mail.ID) error {
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	if _, ok := r.ctl.Crashed[id.String()]; !ok {
		return nil
	}
	return r.remember(id, nil)
}

// remember writes what is known of a message's crashes; nil: nothing. What cannot be
// written still counts until a restart.
func (r *Runner) remember(id mail.ID, c *crash) error {
	next := r.ctl
	next.Crashed = maps.Clone(r.ctl.Crashed)
	if next.Crashed == nil {
		next.Crashed = map[string]crash{}
	}
	if c == nil {
		delete(next.Crashed, id.String())
	} else {
		next.Crashed[id.String()] = *c
	}
	for len(next.Crashed) > maxCrashed {
		oldest := ""
		for id, c := range next.Crashed {
			if oldest == "" || c.Last.Before(next.Crashed[oldest].Last) {
				oldest = id
			}
		}
		delete(next.Crashed, oldest)
	}
	err := r.keep(next)
	r.ctl.Crashed = next.Crashed
	return err
}

// write asks the reporter; a panic there is an error.
func (r *Runner) write(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) (list []spool.Incoming, err error) {
	defer r.caught("reporter", env.ID, &err)
	return r.c.Reporter.Report(kind, env, targets, outcomes, content)
}

// retryCrashed has the messages tried again that were set aside for a crash, and
// returns how many they are; dry: how many they would be.
func (r *Runner) retryCrashed(dry bool) int {
	n := 0
	for _, m := range r.Quarantined() {
		if m.Queue != IDPoison {
			continue
		}
		if dry {
			n++
			continue
		}
		if err := r.Release(m.ID); err != nil {
			r.log.Error("message_not_released", zap.Stringer("id", m.ID), zap.Error(err))
			continue
		}
		n++
	}
	return n
}
