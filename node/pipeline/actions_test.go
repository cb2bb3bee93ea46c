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
