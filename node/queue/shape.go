package queue

import (
	"context"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// ShapeMinutes are the upper ends of the ages that Shape tells apart, those of
// Postfix's qshape; the last count is of what is older.
func ShapeMinutes() [9]int { return [...]int{5, 10, 20, 40, 80, 160, 320, 640, 1280} }

// Ages counts messages by age: one more than there are ShapeMinutes.
type Ages [10]int64

func (a *Ages) add(age time.Duration) {
	for i, m := range ShapeMinutes() {
		if age < time.Duration(m)*time.Minute {
			a[i]++
			return
		}
	}
	a[len(a)-1]++
}

// Shape counts what waits by age, for each name that name gives a queue. A message
// in several queues counts in each. It reads the keys of the queues only.
func (r *Runner) Shape(ctx context.Context, name func(Info) string) (map[string]*Ages, error) {
	const page = 5000
	now := r.c.Now()
	out := map[string]*Ages{}
	for _, q := range r.List() {
		if q.name == "" {
			continue
		}
		ages := agesOf(out, name(q))
		for after := (spool.Position{}); ; {
			list, err := r.c.Store.Entries(q.name, after, page)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			for _, e := range list {
				created := mail.ID(e.ID).Time()
				if t, err := decodeTag(e.Tag, false); err == nil {
					created = time.UnixMilli(t.created)
				}
				ages.add(now.Sub(created))
			}
			if len(list) < page {
				break
			}
			after = spool.Position{Due: list[len(list)-1].Due, ID: list[len(list)-1].ID}
		}
	}
	return out, r.unplannedAges(ctx, now, out, name)
}

// unplannedAges adds what waits before the queues of destinations.
func (r *Runner) unplannedAges(ctx context.Context, now time.Time, out map[string]*Ages, name func(Info) string) error {
	const page = 5000
	for after := (spool.ID{}); ; {
		ids, err := r.c.Store.Submitted(after, page)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || len(ids) == 0 {
			return err
		}
		ages := agesOf(out, name(Info{ID: IDPreSubmission, Kind: KindPreSubmission}))
		for _, id := range ids {
			ages.add(now.Sub(mail.ID(id).Time()))
		}
		after = ids[len(ids)-1]
	}
}

// ShapeOfSenders counts what waits by age, for each domain of a sender; "" is the
// null sender's. A message counts once. It reads every envelope.
func (r *Runner) ShapeOfSenders(ctx context.Context) (map[string]*Ages, error) {
	now := r.c.Now()
	out := map[string]*Ages{}
	err := r.c.Store.Walk(spool.ID{}, func(id spool.ID, st *spool.Stored) (bool, error) {
		domain, created := "", mail.ID(id).Time()
		if env, err := codec.DecodeEnvelope(st.Envelope); err == nil {
			domain, created = strings.ToLower(env.From.Domain), env.Created
		}
		agesOf(out, domain).add(now.Sub(created))
		return true, ctx.Err()
	})
	return out, err
}

func agesOf(m map[string]*Ages, name string) *Ages {
	a := m[name]
	if a == nil {
		a = &Ages{}
		m[name] = a
	}
	return a
}
