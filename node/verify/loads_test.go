package verify

import (
	"fmt"
	"slices"
	"testing"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/routing"
)

func TestLoads(t *testing.T) {
	// Two ways from paris to berlin at one cost, and four servers in paris.
	twin := func(servers int) routing.Topology {
		top := triangle()
		second := *connector(&top, "paris-berlin")
		second.Name = "second"
		top.Connectors = append(top.Connectors, second)
		for i := 2; i <= servers; i++ {
			name := fmt.Sprint("paris-", i)
			top.Servers = append(top.Servers, routing.Server{GUID: guid(name), Name: name, Group: guid("paris"), Up: true})
		}
		return top
	}
	sent := func(first, second int64) []*topologyv1.TrafficResponse {
		return []*topologyv1.TrafficResponse{
			{Flows: []*topologyv1.Flow{{Connector: "paris-berlin", TargetGroup: "berlin", Messages: first}}},
			{Flows: []*topologyv1.Flow{{Connector: "second", TargetGroup: "oslo", Messages: second}, {Connector: "oslo-paris", Messages: 5000}}},
		}
	}
	const uneven = "paris to berlin at cost 10: paris-berlin 900 (fair: 500), second 100 (fair: 500) messages in the last day"
	for name, k := range map[string]struct {
		top  routing.Topology
		sent []*topologyv1.TrafficResponse
		fail bool
		want []string
	}{
		"even":          {twin(4), sent(600, 400), false, nil},
		"uneven":        {twin(4), sent(900, 100), true, []string{uneven}},
		"few messages":  {twin(4), sent(90, 10), false, nil},
		"nothing":       {twin(4), nil, false, nil},
		"few to choose": {twin(3), sent(900, 100), false, []string{uneven + " (only 3 servers to choose)"}},
		"other cost": {func() routing.Topology {
			top := twin(4)
			connector(&top, "second").Targets = []routing.Edge{{Group: guid("berlin"), Cost: 11}}
			return top
		}(), sent(900, 100), false, nil},
		"other down": {func() routing.Topology { top := twin(4); connector(&top, "second").Bridgeheads = nil; return top }(), sent(900, 100), false, nil},
		"drained": {func() routing.Topology {
			top := twin(4)
			connector(&top, "second").Drain = routing.DrainSoft
			return top
		}(), sent(900, 100), false, nil},
		"weighted so": {func() routing.Topology { top := twin(4); connector(&top, "paris-berlin").Weight = 9; return top }(), sent(900, 100), false, nil},
	} {
		c := Loads(k.top, k.sent)
		if fail := c.GetResult() == linkstatev1.CheckResult_CHECK_RESULT_FAIL; fail != k.fail || !slices.Equal(c.GetDetails(), k.want) {
			t.Errorf("%s: %v, want %v %q", name, c, k.fail, k.want)
		}
	}
}

// Two connectors for one address space in one group are twins, too.
func TestLoadsOfExits(t *testing.T) {
	top := triangle()
	second := *connector(&top, "internet")
	second.Name = "backup"
	top.Connectors = append(top.Connectors, second)
	for i := range 4 {
		top.Servers = append(top.Servers, routing.Server{GUID: guid(fmt.Sprint(i)), Group: guid("oslo"), Up: true})
	}
	c := Loads(top, []*topologyv1.TrafficResponse{{Flows: []*topologyv1.Flow{{Connector: "internet", Messages: 1000}}}})
	want := []string{"SMTP:* in paris at cost 1: internet 1000 (fair: 500), backup 0 (fair: 500) messages in the last day"}
	if c.GetResult() != linkstatev1.CheckResult_CHECK_RESULT_FAIL || !slices.Equal(c.GetDetails(), want) {
		t.Errorf("%v, want %q", c, want)
	}
}
