package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func TestWhatIfRequest(t *testing.T) {
	got, err := whatIfRequest([]string{"a"}, []string{"b=7", "c=100"}, []string{"s-1", "s-2=soft", "k=hard"})
	want := &topologyv1.WhatIfRequest{
		Down:   []string{"a"},
		Costs:  []*topologyv1.NewCost{{Connector: "b", Cost: 7}, {Connector: "c", Cost: 100}},
		Drains: []*topologyv1.NewDrain{{Name: "s-1"}, {Name: "s-2", Mode: "soft"}, {Name: "k", Mode: "hard"}},
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, cost := range []string{"b", "b=", "=7", "b=0", "b=101", "b=x", "b=-1", "b=99999999999"} {
		if _, err := whatIfRequest(nil, []string{cost}, nil); err == nil {
			t.Errorf("--cost %s is taken", cost)
		}
	}
	for _, drain := range []string{"", "=soft", "s=", "s=gently"} {
		if _, err := whatIfRequest(nil, nil, []string{drain}); err == nil {
			t.Errorf("--drain %s is taken", drain)
		}
	}
}

func TestEffects(t *testing.T) {
	m := &topologyv1.WhatIfResponse{
		Takeovers: []*topologyv1.Takeover{
			{Connector: "paris-berlin", Before: []string{"paris-1", "paris-2"}, After: []string{"paris-1"}},
			{Connector: "berlin-paris", Remote: true, Before: []string{"paris-1", "paris-2"}, After: []string{"paris-1"}},
		},
		CutOff: []*topologyv1.CutOff{{Group: "oslo", Inbound: true}, {Group: "rome", Inbound: true, Outbound: true}, {Group: "bern", Outbound: true}},
		Ways: []*topologyv1.WayChange{
			{From: "paris", To: "oslo", Before: &topologyv1.Way{Cost: 20, Path: []string{"paris", "berlin", "oslo"}}, After: &topologyv1.Way{Cost: -1}},
			{
				From: "paris", To: "berlin", Before: &topologyv1.Way{Cost: 10, Path: []string{"paris", "berlin"}},
				After: &topologyv1.Way{Cost: 10, Path: []string{"paris", "berlin"}, HeldBy: "paris-berlin"}, Messages: 1, Bytes: 1000,
			},
		},
		Spaces: []*topologyv1.SpaceChange{{
			From: "oslo", AddressSpace: "SMTP:*",
			Before: &topologyv1.Exit{Result: "node", Connector: "internet", Cost: 21, Path: []string{"oslo", "paris"}},
			After:  &topologyv1.Exit{Result: "unreachable", Cost: -1, Reason: "connector internet: down"},
		}},
		MovedWays: 5, MovedSpaces: 1, Messages: 41, Bytes: 5 << 20,
		Loads: []*topologyv1.LoadChange{
			{Connector: "paris-berlin", Messages: 100, Bytes: 2 << 20, MessagesDelta: -40, BytesDelta: -(5 << 20)},
			{Connector: "paris-oslo", MessagesDelta: 40, BytesDelta: 5 << 20},
		},
	}
	const want = `BRIDGEHEADS: of paris-berlin then send: paris-1; now: paris-1, paris-2
BRIDGEHEADS: of berlin-paris then receive: paris-1; now: paris-1, paris-2
CUT OFF: group oslo could no longer be reached
CUT OFF: group rome could neither be reached nor send
CUT OFF: group bern could no longer send to any other
FROM   TO      NOW                              THEN                                         LAST 24 H
paris  oslo    20: paris → berlin → oslo        no way                                       no mail
paris  berlin  10: paris → berlin               10: paris → berlin (waits for paris-berlin)  1 message, 1000 B
oslo   SMTP:*  21: oslo → paris over internet   unreachable (connector internet: down)       no mail
and 3 more; --limit shows them

Load moved, by the last 24 hours: 41 messages, 5.0 MiB.
CONNECTOR     LAST 24 H              MESSAGES  SIZE
paris-berlin  100 messages, 2.0 MiB  -40       -5.0 MiB
paris-oslo    no mail                +40       +5.0 MiB
`
	var b strings.Builder
	if err := printEffects(&b, &client{format: "table"}, m); err != nil || strings.Join(strings.Fields(b.String()), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := printEffects(&b, &client{format: "table"}, &topologyv1.WhatIfResponse{}); err != nil || b.String() != "No mail would take another way.\n" {
		t.Errorf("nothing changes: %v %q", err, b.String())
	}
}

func TestChanges(t *testing.T) {
	list := []*topologyv1.TableChange{
		{
			TableVersion: 9, TimeUnixMs: 1_800_000_000_000, DirectoryRevision: 3, BuildUs: 150, Moved: 2, Destinations: 6,
			Triggers: []string{"server a: up", "connector b: up at c"}, Examples: []string{"server d: x → y"},
		},
		{TableVersion: 1, TimeUnixMs: 1_800_000_000_000, Triggers: []string{"first table of this process"}},
	}
	lines := func(format string) string {
		var out []string
		for _, r := range (&client{format: format}).changes(list) {
			r[1] = "" // local time
			out = append(out, strings.Join(r, "|"))
		}
		return strings.Join(out, "\n")
	}
	const plain = `9||150µs|2 of 6|server a: up
||||connector b: up at c
1||0s|-|first table of this process`
	const wide = `9||150µs|2 of 6|server a: up|3
||||connector b: up at c
||||  server d: x → y
1||0s|-|first table of this process|0`
	if got := lines("table"); got != plain {
		t.Errorf("table:\n%s", got)
	}
	if got := lines("wide"); got != wide {
		t.Errorf("wide:\n%s", got)
	}
	if got := lines("name"); strings.Count(got, "\n") != 1 {
		t.Errorf("name:\n%s", got)
	}
}
