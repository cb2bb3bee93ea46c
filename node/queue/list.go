package queue

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// List tells of all queues: first those that are always there, then the others
// by name.
func (r *Runner) List() []Info {
	now := r.c.Now()
	var queues []Info
	r.mu.Lock()
	queues = r.sched.List(now.UnixMilli())
	r.mu.Unlock()
	out := r.intakeInfo(now)
	local, unreachable := false, false
	for i := range queues {
		// The disk knows of those beyond the window too.
		queues[i].Messages = max(queues[i].Messages, r.c.Store.Count(queues[i].name))
		local = local || queues[i].Kind == KindLocal
		unreachable = unreachable || queues[i].Kind == KindUnreachable
	}
	if !unreachable {
		out = append(out, Info{ID: IDUnreachable, Kind: KindUnreachable, State: Ready})
	}
	if !local {
		out = append(out, Info{ID: IDLocal, Kind: KindLocal, State: Ready, Destination: mail.Destination{Place: mail.PlaceLocal}})
	}
	return append(out, queues...)
}

// intakeInfo describes what comes before the queues of destinations.
func (r *Runner) intakeInfo(now time.Time) []Info {
	r.inMu.Lock()
	defer r.inMu.Unlock()
	in := r.intake
	fresh, directory, poison := in.counts()
	oldFresh, oldDirectory := in.oldest()
	pre := Info{ID: IDPreSubmission, Kind: KindPreSubmission, State: Ready, Messages: int64(fresh)}
	if fresh > 0 {
		pre.State, pre.OldestAge = Active, now.Sub(oldFresh)
	}
	if in.spilled {
		pre.WaitingFor = fmt.Sprintf("the categorizer; more than %d messages, the others are counted when they are read", in.limit)
	}
	dir := Info{ID: IDDirectory, Kind: KindDirectory, State: Ready, Messages: int64(directory + in.working)}
	if in.working > 0 {
		dir.State = Active
	}
	if directory > 0 {
		dir.State, dir.OldestAge, dir.LastError = Retry, now.Sub(oldDirectory), in.reason
		dir.NextAttempt = when(in.later[0].at)
		dir.WaitingFor = fmt.Sprintf("the directory, next lookup at %s: %s", clockTime(in.later[0].at), in.reason)
	}
	// A message is routed in the same step that plans it, so this one is empty.
	out := []Info{pre, dir, {ID: IDRouting, Kind: KindRouting, State: Ready}}
	if poison > 0 {
		out = append(out, Info{
			ID: IDPoison, Kind: KindPoison, State: Retry, Messages: int64(poison),
			WaitingFor: "repair: these messages cannot be read from the spool; they are tried again every hour",
		})
	}
	return out
}

// Messages lists the first messages of a queue by its ID, or of all queues
// (""), at most limit (0: 100). Messages that have no plan yet are in
// IDPreSubmission. An unknown ID has no messages.
func (r *Runner) Messages(id string, limit int) ([]Message, error) {
	if limit <= 0 {
		limit = 100
	}
	var out []Message
	for _, q := range r.List() {
		if id != "" && q.ID != id && !(id == IDLocal && q.Kind == KindLocal) && !(id == IDUnreachable && q.Kind == KindUnreachable) {
			continue
		}
		if len(out) >= limit {
			break
		}
		var list []Message
		var err error
		switch {
		case q.name != "":
			list, err = r.queued(q, limit-len(out))
		case q.ID == IDPreSubmission:
			list, err = r.submitted(limit - len(out))
		}
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", q.ID, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

func (r *Runner) queued(q Info, limit int) ([]Message, error) {
	entries, err := r.c.Store.Entries(q.name, spool.Position{}, limit)
	if err != nil {
		return nil, err
	}
	var out []Message
	for _, e := range entries {
		st, err := r.c.Store.Load(e.ID)
		if err != nil {
			// One bad message must not hide the others.
			out = append(out, Message{ID: mail.ID(e.ID), Queue: q.ID, LastError: err.Error()})
			continue
		}
		out = append(out, describe(st, e, q))
	}
	return out, nil
}

func describe(st spool.Stored, e spool.QueueEntry, q Info) Message {
	m, err := decodeMessage(st)
	if err != nil {
		return Message{ID: mail.ID(e.ID), Queue: q.ID, LastError: err.Error()}
	}
	out := envelopeMessage(m.env, q.ID)
	out.LastError = q.LastError
	ref := Ref{Tag: e.Tag}
	plan, err := targetsOf(ref, len(m.targets))
	if err != nil {
		out.LastError = err.Error()
		return out
	}
	for _, i := range plan {
		out.Recipients = append(out.Recipients, addressOf(m.targets[i]))
		for _, rec := range st.Outcomes {
			if a, err := codec.DecodeAttempt(rec.Payload); err == nil && rec.Target == uint32(i) {
				out.Attempts, out.LastError = max(out.Attempts, a.Attempts), a.Text
			}
		}
	}
	return out
}

func (r *Runner) submitted(limit int) ([]Message, error) {
	ids, err := r.c.Store.Submitted(spool.ID{}, limit)
	if err != nil {
		return nil, err
	}
	var out []Message
	for _, id := range ids {
		st, err := r.c.Store.Load(id)
		if err != nil || st.Plan != nil {
			continue
		}
		env, err := codec.DecodeEnvelope(st.Envelope)
		if err != nil {
			out = append(out, Message{ID: mail.ID(id), Queue: IDPoison, LastError: err.Error()})
			continue
		}
		m := envelopeMessage(env, IDPreSubmission)
		for _, rcpt := range env.Recipients {
			m.Recipients = append(m.Recipients, rcpt.Address.String())
		}
		out = append(out, m)
	}
	return out, nil
}

func envelopeMessage(env *mail.Envelope, queue string) Message {
	return Message{
		ID: env.ID, Origin: env.Origin, MessageID: env.MessageID, Sender: env.From.String(),
		Size: env.Size, Received: env.Received, Queue: queue,
	}
}
