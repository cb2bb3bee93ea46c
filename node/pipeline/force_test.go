package pipeline

import (
	"context"
	"strings"
	"testing"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// A connection that cannot be forced is said to be so, and why.
func TestForceRefuses(t *testing.T) {
	p := newPipeline(t)
	const retry = queuev1.Action_ACTION_RETRY
	for want, req := range map[string]*queuev1.ActRequest{
		"a connection is forced for queues": {Action: retry, OnMessages: true, Messages: []string{"x"}},
		"whole queues are meant":            {Action: retry, Messages: []string{"x"}},
		"filter, column 1":                  {Action: retry, Filter: "size > 1"}, // a field of messages
		"name no queues":                    {Action: retry, Queues: []string{"q"}, Like: &queuev1.Likeness{NextHop: "mx"}},
	} {
		if _, err := p.Act(context.Background(), req, "ada"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", req, err, want)
		}
	}
	if _, err := p.Act(context.Background(), &queuev1.ActRequest{Action: queuev1.Action_ACTION_FREEZE, Queues: []string{"directory"}, Reason: "why"}, "ada"); err != nil {
		t.Fatal(err)
	}
	res, err := p.Act(context.Background(), &queuev1.ActRequest{Action: retry, Queues: []string{"gone", "directory", "quarantine", "local"}}, "ada")
	if err != nil || len(res.GetUnknown()) != 1 || !strings.HasPrefix(res.GetStays()["directory"], "it is frozen, and waits for `queue thaw") || res.GetStays()["quarantine"] == "" || len(res.GetStays()) != 2 {
		t.Errorf("%v, %v", res, err)
	}
	if res, err = p.Act(context.Background(), &queuev1.ActRequest{Action: retry}, "ada"); err != nil || res.GetLinks() != 0 {
		t.Errorf("%v, %v", res, err)
	}
}
