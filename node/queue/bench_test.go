package queue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// noopAgent delivers at once.
func noopAgent(count *atomic.Int64, total int64, done chan struct{}) Agent {
	return agentFunc(func(ctx context.Context, _ mail.Hop, feed mail.Feed) error {
		out := []mail.Outcome{delivered}
		for ctx.Err() == nil {
			t := feed.Next()
			if t == nil {
				if !feed.Wait(time.Second) {
					return nil
				}
				continue
			}
			feed.Done(t, out)
			if count.Add(1) == total {
				close(done)
			}
		}
		return nil
	})
}

// nullStore accepts everything: what remains is the queue's own cost.
type nullStore struct{ fakeStore }

func (*nullStore) Plan(spool.ID, []byte, []spool.Entry, []spool.Posting, ...spool.Incoming) error {
	return nil
}

func (*nullStore) Settle(list ...spool.Settlement) ([]bool, error) {
	out := make([]bool, len(list))
	for i := range out {
		out[i] = true
	}
	return out, nil
}

// Wanted: 20,000 messages a second from Enqueue to the committed outcome.
func BenchmarkEnqueueToDone(b *testing.B) {
	for _, domains := range []int{1, 100} {
		b.Run(fmt.Sprintf("null/domains=%d", domains), func(b *testing.B) {
			benchEnqueue(b, &nullStore{*newFakeStore()}, nil, domains)
		})
		b.Run(fmt.Sprintf("spool/domains=%d", domains), func(b *testing.B) {
			sp := openSpool(b, b.TempDir())
			defer sp.Close()
			benchEnqueue(b, sp, sp, domains)
		})
	}
}

func benchEnqueue(b *testing.B, store Store, sp *spool.Spool, domains int) {
	envs := make([]*mail.Envelope, b.N)
	for i := range envs {
		envs[i] = envelope(i, fmt.Sprintf("b@d%d.example", i%domains))
	}
	if sp != nil {
		// Accepting is measured by the spool's own benchmark.
		for i := 0; i < len(envs); i += 256 {
			body := sp.NewBody()
			body.Write(make([]byte, 1024))
			var list []spool.Incoming
			for _, e := range envs[i:min(i+256, len(envs))] {
				list = append(list, spool.Incoming{ID: spool.ID(e.ID), Body: body, Envelope: codec.EncodeEnvelope(e)})
			}
			if err := sp.Accept(list...); err != nil {
				b.Fatal(err)
			}
		}
	}
	var count atomic.Int64
	delivered := make(chan struct{})
	g := newRig()
	c := Config{Store: store, Router: g.router, Agent: noopAgent(&count, int64(b.N), delivered), Categorizer: g.dir, Reporter: g.reporter}
	if sp == nil {
		// It keeps nothing that could be read again.
		c.Limits.Window, c.Limits.Cached, c.Limits.Held = b.N+1, b.N+1, 16*b.N+16
	}
	r := New(c)
	r.intake = newIntake(1 << 30) // everything comes in at once here
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	b.ResetTimer()
	b.ReportAllocs()
	for _, e := range envs {
		r.Enqueue(e.ID, e)
	}
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	<-delivered
	cancel()
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// A change of the map asks for every queue; no message may be touched.
func BenchmarkReroute(b *testing.B) {
	s := NewScheduler(alone(Limits{}, Clock{}))
	for i := range 5000 {
		k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: fmt.Sprintf("d%d", i)}, mail.Class{}, nil)
		s.AddQueue(k, mail.Hop{}, false, 1)
		for n := range 20 {
			ref := Ref{ID: mail.ID{byte(i >> 8), byte(i), byte(n)}, Due: 1, Created: 1}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, 1)
		}
	}
	for i := 0; b.Loop(); i++ {
		hop := mail.Hop{Kind: mail.HopUnreachable}
		if i%2 == 0 {
			hop = mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"relay:25"}}
		}
		s.Reroute(func(Key) mail.Hop { return hop }, 2)
		s.Effects()
	}
}
