package admin

import (
	"fmt"
	"slices"
	"testing"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// wayOver is a message from paris over oslo to rome, and rome's report on the way back, with
// clocks that are ahead by so many seconds.
func wayOver(ahead map[string]int64) (events []*trackingv1.Event, order []string) {
	hop := func(s int64, node string, kind trackingv1.EventKind, queue, origin, sender, peer string) {
		order = append(order, fmt.Sprint(node, " ", kind.String()[len("EVENT_KIND_"):], " ", queue))
		events = append(events, &trackingv1.Event{
			TimeUnixUs: (1_000_000+s+ahead[node])*1_000_000 + int64(len(events)), Node: node, Kind: kind, QueueId: queue, OriginId: origin, Sender: sender, Peer: peer,
		})
	}
	const route = trackingv1.EventKind_EVENT_KIND_ROUTE
	hop(0, "paris", receive, "p1", "p1", "a@x", "client")
	hop(0, "paris", route, "p1", "p1", "a@x", "oslo")
	hop(3, "oslo", receive, "o1", "p1", "a@x", "paris.test")
	hop(3, "paris", send, "p1", "p1", "a@x", "oslo 192.0.2.1:25")
	hop(3, "oslo", route, "o1", "p1", "a@x", "rome")
	hop(3, "rome", receive, "r1", "p1", "a@x", "oslo.test")
	hop(4, "oslo", send, "o1", "p1", "a@x", "rome 192.0.2.2:25")
	hop(5, "rome", fail, "r1", "p1", "a@x", "")
	hop(5, "rome", receive, "r2", "r2", "", "")
	hop(5, "rome", route, "r2", "r2", "", "paris")
	hop(6, "paris", receive, "p2", "r2", "", "rome.test")
	hop(6, "rome", send, "r2", "r2", "", "paris 192.0.2.3:25")
	hop(7, "paris", deliver, "p2", "r2", "", "a")
	return events, order
}

// A message's way is told in its order though clocks differ, and whose do is said.
func TestFollowWithClocksApart(t *testing.T) {
	for name, c := range map[string]struct{ ahead, told map[string]int64 }{
		"all right":            {nil, nil},
		"less than a second":   {map[string]int64{}, nil},
		"one behind":           {map[string]int64{"oslo": -600}, map[string]int64{"oslo": -600}},
		"one ahead":            {map[string]int64{"oslo": 600}, map[string]int64{"oslo": 600}},
		"the last behind":      {map[string]int64{"rome": -86400}, map[string]int64{"rome": -86400}},
		"the first":            {map[string]int64{"paris": 600}, map[string]int64{"oslo": -600, "rome": -600}},
		"each other":           {map[string]int64{"oslo": 600, "rome": -600}, map[string]int64{"oslo": 600, "rome": -600}},
		"the first, and later": {map[string]int64{"paris": -600, "rome": 30}, map[string]int64{"oslo": 600, "rome": 630}},
	} {
		t.Run(name, func(t *testing.T) {
			events, want := wayOver(c.ahead)
			slices.Reverse(events)
			events = ordered(events)
			off := ahead(events)
			for node, by := range off {
				if d := by/1_000_000 - c.told[node]; d < -4 || d > 4 || c.told[node] == 0 {
					t.Errorf("%s is said to be %d s ahead, want %d", node, by/1_000_000, c.told[node])
				}
			}
			if len(off) != len(c.told) {
				t.Errorf("clocks %v, want %v", off, c.told)
			}
			var got []string
			last := int64(0)
			for _, e := range byWay(events, off) {
				got = append(got, fmt.Sprint(e.GetNode(), " ", e.GetKind().String()[len("EVENT_KIND_"):], " ", e.GetQueueId()))
				if at := e.GetTimeUnixUs() - off[e.GetNode()]; at < last {
					t.Errorf("%s goes back in time", got[len(got)-1])
				} else {
					last = at
				}
			}
			// What a node says of itself is in order, and nobody delivers before the message came.
			for _, of := range []string{"paris", "oslo", "rome"} {
				only := func(list []string) (own []string) {
					for _, s := range list {
						if s[:len(of)] == of {
							own = append(own, s)
						}
					}
					return own
				}
				if !slices.Equal(only(got), only(want)) {
					t.Errorf("%s: %q, want %q", of, only(got), only(want))
				}
			}
			place := func(s string) int { return slices.Index(got, s) }
			for _, pair := range [][2]string{{"paris ROUTE p1", "oslo RECEIVE o1"}, {"oslo ROUTE o1", "rome RECEIVE r1"}, {"oslo RECEIVE o1", "rome FAIL r1"}, {"rome ROUTE r2", "paris RECEIVE p2"}} {
				if place(pair[0]) > place(pair[1]) {
					t.Errorf("%s stands before %s: %q", pair[1], pair[0], got)
				}
			}
		})
	}
}
