package pipeline

import (
	"errors"
	"fmt"
	"testing"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
)

// Only a refusal for good becomes a verdict on every message behind the hop.
func TestVerdict(t *testing.T) {
	null := mail.Fail(mail.StatusNullMX, "the domain takes no mail")
	for name, tc := range map[string]struct {
		err      error
		rejected bool
	}{
		"served":    {nil, false},
		"lost":      {errors.New("connection reset"), false},
		"temporary": {&deliver.ConnectError{Outcome: mail.Defer(mail.StatusNoAnswer, "silent"), Temporary: true}, false},
		"for good":  {&deliver.ConnectError{Outcome: null}, true},
		"wrapped":   {fmt.Errorf("mx.example: %w", &deliver.ConnectError{Outcome: null}), true},
	} {
		t.Run(name, func(t *testing.T) {
			got := verdict(tc.err)
			var r *queue.RejectError
			if errors.As(got, &r) != tc.rejected {
				t.Fatalf("became %v", got)
			}
			if tc.rejected && r.Outcome.Status != mail.StatusNullMX {
				t.Errorf("the outcome became %v", r.Outcome)
			}
			if !tc.rejected && got != tc.err {
				t.Errorf("became %v, want it unchanged", got)
			}
		})
	}
}

// What the categorizer could not resolve reaches the queues with its verdict.
func TestCategorizerKeepsFailures(t *testing.T) {
	p := newPipeline(t)
	env := &mail.Envelope{}
	for _, to := range []string{"olav@example.test", "nobody@example.test"} {
		a, err := mail.ParseAddress(to)
		if err != nil {
			t.Fatal(err)
		}
		env.Recipients = append(env.Recipients, mail.Recipient{Address: a, Notify: mail.NotifyFailure})
	}
	plan, err := categorizer{categorize.New(p.cfg.Catalog, p.self)}.Resolve(env)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Targets) != 1 || plan.Targets[0].Address.String() != "olav@example.test" {
		t.Errorf("targets %v, want olav", plan.Targets)
	}
	if len(plan.Failed) != 1 || plan.Failed[0].Target.Address.String() != "nobody@example.test" ||
		plan.Failed[0].Outcome.Status != mail.StatusUnknownUser || plan.Failed[0].Target.Notify != mail.NotifyFailure {
		t.Errorf("failed %+v, want nobody, 5.1.1, with what was asked for", plan.Failed)
	}
}
