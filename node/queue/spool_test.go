package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

func openSpool(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{Recipients: Recipients})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func acceptInto(t testing.TB, sp *spool.Spool, env *mail.Envelope) {
	t.Helper()
	body := sp.NewBody()
	if _, err := body.Write([]byte("Subject: test\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := sp.Accept(spool.Incoming{ID: spool.ID(env.ID), Body: body, Envelope: codec.EncodeEnvelope(env), Recipients: len(env.Recipients)}); err != nil {
		t.Fatal(err)
	}
}

// running is a Runner on a real spool, in real time.
type running struct {
	*Runner
	stop context.CancelFunc
	done chan error
}

func runOn(sp *spool.Spool, g *rig, change func(*Config)) *running {
	c := Config{Store: sp, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter, Clock: testClock}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{New(c), cancel, make(chan error, 1)}
	go func() { r.done <- r.Run(ctx) }()
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// A node that stops with mail in every stage delivers each message once after it
// comes back: what was only accepted, what was planned, what was deferred with
// some of its recipients done, what is beyond the window.
func TestRestartOnSpool(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir)
	g := newRig()
	var dialled, deferred atomic.Int64
	gate := make(chan struct{})
	g.agent.dial = func(h mail.Hop) error {
		if h.Name == "away" {
			dialled.Add(1)
			return errAway
		}
		return nil
	}
	g.agent.answer = func(_ mail.Hop, tr *mail.Transaction, target mail.Target) mail.Outcome {
		if target.Address.Local == "later" {
			if deferred.Add(1) == 20 {
				close(gate)
			}
			return mail.FromReply(mail.Reply{Code: 450}, "x")
		}
		return delivered
	}
	r := runOn(sp, g, func(c *Config) { c.Limits.Window = 10 })
	const n = 60
	for i := range n {
		env := envelope(i, fmt.Sprintf("b%02d@away", i))
		if i%3 == 0 {
			env = envelope(i, fmt.Sprintf("c%02d@x", i), "later@x", fmt.Sprintf("d%02d@away", i))
		}
		acceptInto(t, sp, env)
		r.Enqueue(env.ID, env)
	}
	<-gate
	r.end(t)
	if got := g.agent.got(); len(got) != 20 {
		t.Errorf("before the restart: %q, want the 20 at x", got)
	}
	for i := n; i < n+5; i++ {
		acceptInto(t, sp, envelope(i, fmt.Sprintf("e%02d@x", i)))
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}

	sp = openSpool(t, dir)
	defer sp.Close()
	all := make(chan struct{})
	var left atomic.Int64
	left.Store(20 + 60 + 5)
	g.agent = &fakeAgent{after: func(_ mail.Hop, tr *mail.Transaction) error {
		if left.Add(-int64(len(tr.Targets))) == 0 {
			close(all)
		}
		return nil
	}}
	r = runOn(sp, g, func(c *Config) {
		c.Limits.Window = 10
		// The deferred ones are due in a minute: let it be later already.
		c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	})
	<-all
	r.end(t)
	got := g.agent.got()
	if len(got) != 85 || len(slices.Compact(slices.DeleteFunc(got, func(s string) bool { return s == "x later@x" }))) != 65 {
		t.Errorf("after the restart %d deliveries: %q", len(got), got)
	}
	if err := sp.WaitCounted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := sp.Stats(); st.Messages != 0 || st.Entries != 0 {
		t.Errorf("left in the spool: %+v", st)
	}
	expectBalance(t, sp, spool.Tally{Messages: 65, Recipients: 105})
}

// A failure and its report change places in one instant.
func TestReportOnSpool(t *testing.T) {
	sp := openSpool(t, t.TempDir())
	defer sp.Close()
	g := newRig()
	g.router.set("SMTP:x", mail.Hop{Kind: mail.HopFail, Status: mail.StatusNoRoute, Reason: "no connector"})
	done := make(chan struct{})
	g.agent.after = func(mail.Hop, *mail.Transaction) error { close(done); return nil }
	r := runOn(sp, g, func(c *Config) { c.Reporter = spoolReporter{sp, g.reporter} })
	env := envelope(1, "b@x")
	acceptInto(t, sp, env)
	r.Enqueue(env.ID, env)
	<-done
	r.end(t)
	equal(t, "delivered", g.agent.got(), []string{"local delivery a@here"})
	if _, err := sp.Load(spool.ID(env.ID)); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("the failed message: %v, want it gone", err)
	}
	l := expectBalance(t, sp, spool.Tally{Messages: 1, Recipients: 1})
	if l[spool.Generated] != (spool.Tally{Messages: 1, Recipients: 1}) || l[spool.Failed] != l[spool.Generated] || l[spool.Delivered] != l[spool.Generated] {
		t.Errorf("ledger: %v", l)
	}
}

// expectBalance holds the ledger against the spool, and what was accepted against
// accepted.
func expectBalance(t testing.TB, sp *spool.Spool, accepted spool.Tally) spool.Ledger {
	t.Helper()
	a, err := sp.Audit(t.Context())
	if err != nil || !a.Balanced() || !a.Weighed {
		t.Errorf("the ledger does not balance: %s, %v (%v)", a, err, a.Ledger)
	}
	if got := a.Ledger[spool.Accepted]; got != accepted {
		t.Errorf("accepted %+v, want %+v", got, accepted)
	}
	return a.Ledger
}

// spoolReporter gives the reports of a fakeReporter a body.
type spoolReporter struct {
	sp *spool.Spool
	*fakeReporter
}

func (r spoolReporter) Report(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) ([]spool.Incoming, error) {
	rc, err := content.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	list, err := r.fakeReporter.Report(kind, env, targets, outcomes, content)
	for i := range list {
		list[i].Body = r.sp.NewBody()
		if _, err := list[i].Body.Write([]byte("Subject: failed\r\n\r\n")); err != nil {
			return nil, err
		}
	}
	return list, err
}
