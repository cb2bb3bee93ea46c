package pipeline

import (
	"context"
	"strings"
	"testing"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	"github.com/postroad/postroad/store/directory"
)

// A wrong request is refused with what is wrong, and nothing is done.
func TestActRefuses(t *testing.T) {
	p := newPipeline(t)
	self, _ := p.cfg.Catalog.Config().Server("paris-1")
	const (
		freeze   = queuev1.Action_ACTION_FREEZE
		remove   = queuev1.Action_ACTION_DELETE
		redirect = queuev1.Action_ACTION_REDIRECT
	)
	for want, req := range map[string]*queuev1.ActRequest{
		"action: must be freeze":                {Filter: "size > 1"},
		"nothing is named":                      {Action: freeze},
		"reason: delete needs one":              {Action: remove, Filter: "size > 1"},
		"filter, column 1":                      {Action: freeze, Filter: "siz > 1"},
		"filter, column 6":                      {Action: freeze, OnMessages: true, Filter: "size ! 1"},
		"messages: whole queues are meant":      {Action: freeze, Messages: []string{"x"}},
		"this is no queue ID":                   {Action: freeze, OnMessages: true, Messages: []string{"x"}},
		"no connector is called \"gone\"":       {Action: redirect, Queues: []string{"q"}, Reason: "r", To: "connector:gone"},
		"write connector:internet":              {Action: redirect, Queues: []string{"q"}, Reason: "r", To: "internet"},
		"must be connector:NAME":                {Action: redirect, Queues: []string{"q"}, Reason: "r", To: "not a host"},
		"is this server itself: the mail would": {Action: redirect, Queues: []string{"q"}, Reason: "r", To: directory.SMTPAddress(self.Spec)},
	} {
		if _, err := p.Act(context.Background(), req, "ada"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", req, err, want)
		}
	}
	res, err := p.Act(context.Background(), &queuev1.ActRequest{Action: freeze, Queues: []string{"gone"}}, "ada")
	if err != nil || len(res.GetUnknown()) != 1 || res.GetQueues() != 0 {
		t.Errorf("%v, %v", res, err)
	}
	if _, err := p.Outbound(&queuev1.OutboundRequest{Disable: true}, "ada"); err == nil {
		t.Error("outbound mail was disabled without a reason")
	}
	for range 2 {
		if o, err := p.Outbound(&queuev1.OutboundRequest{Disable: true, Reason: "why"}, "ada"); err != nil || !o.GetDisabled() || !p.Stopped().Outbound {
			t.Errorf("%v, %v", o, err)
		}
	}
	if o, err := p.Outbound(&queuev1.OutboundRequest{}, "ada"); err != nil || !o.GetWasDisabled() || p.Stopped().Outbound {
		t.Errorf("%v, %v", o, err)
	}
}

// What is frozen by kind, stage or likeness is told, holds, and goes by its own thaw only.
func TestActOnQueuesToCome(t *testing.T) {
	p := newPipeline(t)
	act := func(action queuev1.Action, like *queuev1.Likeness, queues ...string) *queuev1.ActResult {
		t.Helper()
		res, err := p.Act(context.Background(), &queuev1.ActRequest{Action: action, Like: like, Queues: queues, Reason: "why"}, "ada")
		if err != nil || res.GetError() != "" {
			t.Fatalf("%v, %v", res, err)
		}
		return res
	}
	const (
		freeze = queuev1.Action_ACTION_FREEZE
		thaw   = queuev1.Action_ACTION_THAW
	)
	like := &queuev1.Likeness{NextHop: "mx.*"}
	act(freeze, like)
	if n := act(freeze, nil, "local", "pre-submission", "routing").GetQueues(); n != 3 {
		t.Errorf("%d queues were frozen, want 3", n)
	}
	if f := p.Freezes(); len(f) != 2 || f[0].GetLike().GetNextHop() != "mx.*" || f[0].GetBy() != "ada" || f[1].GetLike().GetKind() != "local" {
		t.Errorf("%v", f)
	}
	for _, q := range p.Queues() {
		want := q.GetId() == "local" || q.GetId() == "pre-submission" || q.GetId() == "routing"
		if is := q.GetState() == queuev1.State_STATE_FROZEN; is != want || is && q.GetFrozenReason() != "why" {
			t.Errorf("%v, want frozen: %v", q, want)
		}
	}
	if n := p.Stopped().Queues; n != 4 {
		t.Errorf("%d are stopped, want 4", n)
	}
	if r := act(thaw, nil, "quarantine"); r.GetStays()["quarantine"] == "" {
		t.Errorf("%v", r)
	}
	if r := act(thaw, &queuev1.Likeness{NextHop: "mx"}); len(r.GetUnknown()) != 1 {
		t.Errorf("%v", r)
	}
	if n := act(thaw, nil, "local", "pre-submission", "routing").GetQueues(); n != 3 {
		t.Errorf("%d queues were thawed, want 3", n)
	}
	act(thaw, like)
	if n := p.Stopped().Queues; n != 0 || len(p.Freezes()) != 0 {
		t.Errorf("%d are stopped, %v", n, p.Freezes())
	}
	for want, req := range map[string]*queuev1.ActRequest{
		"only whole queues":           {Action: queuev1.Action_ACTION_DELETE, Like: like, Reason: "r"},
		"name no queues":              {Action: freeze, Like: like, Queues: []string{"q"}},
		"kind must be":                {Action: freeze, Like: &queuev1.Likeness{Kind: "remote"}},
		"only whole queues are froze": {Action: freeze, OnMessages: true, Like: like},
	} {
		if _, err := p.Act(context.Background(), req, "ada"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", req, err, want)
		}
	}
}
