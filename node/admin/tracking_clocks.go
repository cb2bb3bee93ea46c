package admin

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// apart is the least difference of two clocks (µs) that is told: who keeps time by NTP is
// well below it.
const apart = 1_000_000

// ahead says by how much (µs; below 0: behind) the clocks of nodes are ahead of that of the
// node that took the message, where the way shows it: a node takes a message after the one
// before has routed it, and before that one notes that it is sent.
func ahead(events []*trackingv1.Event) map[string]int64 {
	var roots, came, sent []*trackingv1.Event
	for _, e := range events {
		switch {
		case e.GetKind() == trackingv1.EventKind_EVENT_KIND_SEND:
			sent = append(sent, e)
		case e.GetKind() != trackingv1.EventKind_EVENT_KIND_RECEIVE:
		case e.GetQueueId() == e.GetOriginId():
			roots = append(roots, e)
		default:
			came = append(came, e)
		}
	}
	// Not reports first (they have no sender): a slow clock makes them the oldest.
	slices.SortStableFunc(roots, func(a, b *trackingv1.Event) int {
		return cmp.Compare(min(len(b.GetSender()), 1), min(len(a.GetSender()), 1))
	})
	all := make(map[string]int64)
	for _, root := range roots {
		if _, known := all[root.GetNode()]; !known {
			all[root.GetNode()] = 0
		}
		for learned := true; learned; {
			learned = false
			for _, e := range came {
				if _, known := all[e.GetNode()]; known {
					continue
				}
				if by, ok := aheadAt(e, sent, events, all); ok {
					all[e.GetNode()], learned = by, true
				}
			}
		}
	}
	maps.DeleteFunc(all, func(_ string, by int64) bool { return max(by, -by) < apart })
	return all
}

// aheadAt is by how much the clock is ahead of a node that took a message from one whose
// clock is known: the least that agrees with one of its hand-overs.
func aheadAt(came *trackingv1.Event, sent, events []*trackingv1.Event, known map[string]int64) (least int64, ok bool) {
	for _, s := range sent {
		by, is := known[s.GetNode()]
		if to, _, _ := strings.Cut(s.GetPeer(), " "); !is || to != came.GetNode() || s.GetOriginId() != came.GetOriginId() {
			continue
		}
		first := int64(0)
		for _, e := range events {
			k := e.GetKind()
			if e.GetNode() == s.GetNode() && e.GetQueueId() == s.GetQueueId() && e.GetTimeUnixUs() <= s.GetTimeUnixUs() &&
				(k == trackingv1.EventKind_EVENT_KIND_RECEIVE || k == trackingv1.EventKind_EVENT_KIND_ROUTE) {
				first = max(first, e.GetTimeUnixUs())
			}
		}
		at, off := came.GetTimeUnixUs(), int64(0)
		// If it cannot be, it was just before the note: that is written when the answer is there.
		if lo, hi := first-by, s.GetTimeUnixUs()-by; at > hi+apart || at < lo-apart {
			off = at - hi + 1
		}
		if !ok || max(off, -off) < max(least, -least) {
			least, ok = off, true
		}
	}
	return least, ok
}

// byWay sorts events, which are in order of time, by what one clock would have shown.
func byWay(events []*trackingv1.Event, ahead map[string]int64) []*trackingv1.Event {
	slices.SortStableFunc(events, func(a, b *trackingv1.Event) int {
		return cmp.Compare(a.GetTimeUnixUs()-ahead[a.GetNode()], b.GetTimeUnixUs()-ahead[b.GetNode()])
	})
	return events
}
