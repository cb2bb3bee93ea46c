package queue

import (
	"cmp"
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// List tells of all queues: first those that are always there, then the others
// by name. It reads no message.
func (r *Runner) List() []Info {
	now := r.c.Now()
	r.mu.Lock()
	queues := r.sched.List(now.UnixMilli())
	r.mu.Unlock()
	out := r.intakeInfo(now)
	seen := map[string]bool{}
	for i := range queues {
		q := &queues[i]
		// The disk knows of those beyond the window too.
		w := r.c.Store.Weigh(q.name)
		q.Messages, q.Bytes = max(q.Messages, w.Entries), w.Bytes
		r.ages.age(q, now)
		seen[q.Kind] = true
	}
	for _, q := range []Info{
		{ID: IDUnreachable, Kind: KindUnreachable},
		{ID: IDReroute, Kind: KindReroute},
		{ID: IDLocal, Kind: KindLocal, Destination: mail.Destination{Place: mail.PlaceLocal}},
		{ID: IDDeferred, Kind: KindDeferred},
	} {
		if !seen[q.Kind] {
			q.State = Ready
			r.explainKind(&q)
			out = append(out, q)
		}
	}
	return append(out, queues...)
}

// intakeInfo describes what comes before the queues of destinations.
func (r *Runner) intakeInfo(now time.Time) []Info {
	r.ctlMu.Lock()
	frozen := r.ctl.Stages
	r.ctlMu.Unlock()
	r.inMu.Lock()
	defer r.inMu.Unlock()
	in := r.intake
	n := in.counts()
	pre := Info{ID: IDPreSubmission, Kind: KindPreSubmission, State: Ready, Messages: int64(n.fresh)}
	if n.fresh > 0 {
		pre.State = Active
	}
	if in.spilled {
		pre.WaitingFor = fmt.Sprintf("the categorizer; more than %d messages, the others are counted when they are read", in.limit)
	}
	reports := Info{ID: IDReports, Kind: KindReports, State: Ready, Messages: int64(n.reports)}
	if n.reports > 0 {
		reports.State = Active
	}
	dir := Info{ID: IDDirectory, Kind: KindDirectory, State: Ready, Messages: int64(n.directory + len(in.working))}
	if len(in.working) > 0 {
		dir.State = Active
	}
	if n.directory > 0 {
		dir.State, dir.LastError = Retry, in.reason
		dir.NextAttempt = when(in.later[0].at)
		dir.WaitingFor = fmt.Sprintf("the directory, next lookup at %s: %s", clockTime(in.later[0].at), in.reason)
	}
	poison := Info{ID: IDPoison, Kind: KindPoison, State: Ready, Messages: int64(n.poison)}
	if n.poison > 0 {
		poison.State = Retry
		poison.WaitingFor = "another attempt: these messages cannot be read because the disk fails, or crashed what processes them"
	}
	for _, q := range []struct {
		*Info
		oldest time.Time
	}{{&pre, n.oldestFresh}, {&reports, n.oldestReport}, {&dir, n.oldestDirectory}} {
		if !q.oldest.IsZero() {
			q.OldestAge = now.Sub(q.oldest)
		}
	}
	for _, m := range r.Quarantined() {
		if m.Queue == IDPoison {
			poison.State, poison.Messages, poison.OldestAge = Frozen, poison.Messages+1, max(poison.OldestAge, now.Sub(m.Created))
			poison.WaitingFor = "an administrator: what processes these messages crashed on them twice; postroadctl queue retry poison"
		}
	}
	// A message is routed in the same step that plans it, so that queue is empty unless
	// it is frozen.
	routing := Info{ID: IDRouting, Kind: KindRouting, State: Ready}
	for s, q := range map[stage]*Info{stageSubmitted: &pre, stageReport: &reports, stageDirectory: &dir, stageRouting: &routing, stagePoison: &poison} {
		if first := in.held.first(s); in.held.n[s] > 0 {
			q.Messages += int64(in.held.n[s])
			q.OldestAge = max(q.OldestAge, now.Sub(first.Time()))
			q.WaitingFor = cmp.Or(q.WaitingFor, "`message thaw`: all or some were frozen one by one")
		}
		if note, ok := frozen[s.id()]; ok {
			q.State, q.Whole, q.Frozen = Frozen, true, note
			q.WaitingFor = "`queue thaw " + s.id() + "`: " + note.text() + "; messages do not expire meanwhile"
		}
	}
	return []Info{pre, reports, dir, routing, poison, r.quarantineInfo(now)}
}

// explainKind says of a kind of queue of which there is none whether those to come are
// frozen.
func (r *Runner) explainKind(q *Info) {
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	for _, st := range r.ctl.Standing {
		if (st.Like == Likeness{Kind: q.ID}) {
			q.State, q.Frozen, q.Like = Frozen, st.Note, st.Like.String()
			q.WaitingFor = "`queue thaw " + q.ID + "`: " + st.Note.text()
		}
	}
}

// Messages lists the first messages of a queue by its ID, or of all queues ("").
// An unknown ID has no messages.
func (r *Runner) Messages(id string, limit int) ([]Message, error) {
	f, err := r.Find(Search{Queue: id, Limit: limit})
	return f.Messages, err
}

func envelopeMessage(env *mail.Envelope, queue string) Message {
	return Message{
		ID: env.ID, Origin: env.Origin, MessageID: env.MessageID, Sender: env.From.String(),
		Size: env.Size, Received: env.Received, Queue: queue,
	}
}
