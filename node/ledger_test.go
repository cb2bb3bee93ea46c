package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/postroad/postroad/store/spool"
)

// books is a spool whose audits are given.
type books struct {
	audits []spool.Audit // the last one again and again
	err    error
	n      int
}

func (b *books) Audit(context.Context) (spool.Audit, error) {
	b.n++
	return b.audits[min(b.n, len(b.audits))-1], b.err
}
func (b *books) Ledger() spool.Ledger   { return b.audits[0].Ledger }
func (b *books) LedgerSince() time.Time { return time.UnixMilli(7) }

// The ledger is checked at once and then every ten minutes; a difference is
// logged as long as it lasts, and so is its end.
func TestAccountant(t *testing.T) {
	l := spool.Ledger{spool.Accepted: {Messages: 3, Recipients: 5}, spool.Relayed: {Messages: 1, Recipients: 2}}
	right := spool.Audit{Ledger: l, Held: spool.Tally{Messages: 2, Recipients: 3}, Weighed: true}
	wrong := right
	wrong.Held.Messages = 1
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		a := &accountant{node: "n", log: zap.New(core), book: &books{audits: []spool.Audit{right, right, wrong, wrong, right}}}
		if m := a.Ledger(); m.GetCheckedUnixMs() != 0 || m.GetImbalance() != "" || m.GetSinceUnixMs() != 7 || m.GetQueued().GetRecipients() != 3 {
			t.Errorf("before the first check: %v", m)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.run(ctx) }()
		for i, want := range []string{
			"ledger_balanced", "ledger_balanced", "ledger_balanced ledger_imbalance", "ledger_balanced ledger_imbalance ledger_imbalance",
			"ledger_balanced ledger_imbalance ledger_imbalance ledger_balanced",
		} {
			synctest.Wait()
			var got []string
			for _, e := range logs.All() {
				got = append(got, e.Message)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("after check %d: %q, want %q", i+1, got, want)
			}
			if bad := a.imbalance() != ""; bad != (i == 2 || i == 3) {
				t.Errorf("after check %d: imbalance %q", i+1, a.imbalance())
			}
			if i == 2 {
				expectOff(t, a, -1)
			}
			time.Sleep(auditEvery)
		}
		expectOff(t, a, 0)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func expectOff(t *testing.T, a *accountant, messages float64) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(a)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"postroad_ledger_off messages": messages, "postroad_ledger_off recipients": 0,
		"postroad_ledger_messages_total accepted": 3, "postroad_ledger_recipients_total relayed": 2,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %v (%v), want %v", name, v, ok, want)
		}
	}
}

func TestAccountantCannotRead(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	a := &accountant{log: zap.New(core), book: &books{audits: []spool.Audit{{}}, err: errors.New("unreadable")}}
	a.check(t.Context())
	if logs.FilterMessage("ledger_not_checked").Len() != 1 || a.last.Load() != nil {
		t.Errorf("logged %v", logs.All())
	}
	if got := auditPause(time.Minute); got != 100*time.Minute {
		t.Errorf("after a check of a minute the next is in %v", got)
	}
}
