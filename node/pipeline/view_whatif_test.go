package pipeline

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// What would change is asked for one kind of message: of a connector that takes small
// mail of high priority by the people of sales only, others would feel it.
func TestWhatIfForAMessage(t *testing.T) {
	p := newPipeline(t)
	var link *directoryv1.Object
	for _, o := range p.cfg.Catalog.Configured() {
		if o.GetMetadata().GetName() == "paris-berlin" {
			link = proto.CloneOf(o)
			link.GetMetadata().Revision = 0
		}
	}
	restricted := func(r *directoryv1.Restrictions) []*directoryv1.Object {
		o := proto.CloneOf(link)
		o.GetRoutingGroupConnector().Restrictions = r
		return []*directoryv1.Object{o}
	}
	small := restricted(&directoryv1.Restrictions{MaxMessageSize: 1000})
	urgent := restricted(&directoryv1.Restrictions{Priorities: []string{"high"}})
	user := restricted(&directoryv1.Restrictions{NoSystemMessages: true})
	for name, k := range map[string]struct {
		req   *topologyv1.WhatIfRequest
		moves bool
	}{
		"plain":           {&topologyv1.WhatIfRequest{Objects: small}, false},
		"just small":      {&topologyv1.WhatIfRequest{Objects: small, Size: 1000}, false},
		"large":           {&topologyv1.WhatIfRequest{Objects: small, Size: 1001}, true},
		"normal":          {&topologyv1.WhatIfRequest{Objects: urgent}, true},
		"high":            {&topologyv1.WhatIfRequest{Objects: urgent, Priority: "high"}, false},
		"a user's":        {&topologyv1.WhatIfRequest{Objects: user}, false},
		"a report":        {&topologyv1.WhatIfRequest{Objects: user, System: true, Sender: "<>"}, true},
		"a sender's":      {&topologyv1.WhatIfRequest{Objects: user, Sender: "olav@example.test"}, false},
		"large and plain": {&topologyv1.WhatIfRequest{Objects: user, Size: 1 << 30}, false},
	} {
		m, err := p.WhatIf(k.req, nil)
		if err != nil || (m.GetMovedWays() > 0) != k.moves {
			t.Errorf("%s: %d ways move (%v), want %v", name, m.GetMovedWays(), err, k.moves)
		}
	}
	for want, req := range map[string]*topologyv1.WhatIfRequest{
		`priority "urgent": must be low, normal or high`: {Priority: "urgent", Down: []string{"paris-berlin"}},
		`sender "nobody"`: {Sender: "nobody", Down: []string{"paris-berlin"}},
	} {
		if _, err := p.WhatIf(req, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
