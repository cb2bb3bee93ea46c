package verify

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Changes lists what holds in a later table and did not in an earlier one of the
// same node, by group, server and connector. Without an earlier one it lists
// everything that holds. The time is left to the caller.
func Changes(before, after *linkstatev1.ListResponse) []*linkstatev1.LinkChange {
	was, now := facts(before), facts(after)
	var out []*linkstatev1.LinkChange
	for k, f := range now {
		if w := was[k]; w.value != f.value || w.reason != f.reason && f.bad {
			out = append(out, &linkstatev1.LinkChange{
				Server: k.server, Group: f.group, Connector: k.connector, What: k.what, Was: w.value, Now: f.value, Reason: f.reason,
			})
		}
	}
	for k, w := range was {
		if _, still := now[k]; !still {
			out = append(out, &linkstatev1.LinkChange{Server: k.server, Group: w.group, Connector: k.connector, What: k.what, Was: w.value})
		}
	}
	slices.SortFunc(out, func(a, b *linkstatev1.LinkChange) int {
		return cmp.Or(cmp.Compare(a.GetGroup(), b.GetGroup()), cmp.Compare(a.GetServer(), b.GetServer()),
			cmp.Compare(a.GetConnector(), b.GetConnector()), cmp.Compare(a.GetWhat(), b.GetWhat()))
	})
	return out
}

type subject struct{ server, connector, what string }

// fact is what holds of a subject. A reason alone makes it another one only where
// something is bad.
type fact struct {
	value, reason, group string
	bad                  bool
}

func facts(l *linkstatev1.ListResponse) map[subject]fact {
	all := make(map[subject]fact)
	for _, e := range l.GetEntries() {
		r := e.GetRecord()
		put := func(connector, what string, f fact) {
			if f.value != "" {
				f.group = e.GetGroup()
				all[subject{e.GetServer(), connector, what}] = f
			}
		}
		state := fact{value: word(r.GetStatus().String(), "STATUS_")}
		if by := Accuser(l, r); by != "" {
			state.reason, state.bad = "says "+by, true
		}
		put("", "state", state)
		put("", "incarnation", fact{value: strconv.FormatUint(r.GetIncarnation(), 10)})
		put("", "version", fact{value: r.GetVersion()})
		if d := r.GetDrain(); d != linkstatev1.Drain_DRAIN_UNSPECIFIED {
			put("", "drain", fact{value: word(d.String(), "DRAIN_")})
		}
		for _, c := range e.GetConnectors() {
			link := fact{value: "up", reason: c.GetReason()}
			if !c.GetUp() {
				link.value, link.bad = "down", true
			}
			put(c.GetConnector(), "state", link)
			if until := c.GetSuppressedUntilUnixMs(); until != 0 {
				put(c.GetConnector(), "damping", fact{value: "until " + time.UnixMilli(until).UTC().Format(time.RFC3339)})
			}
		}
	}
	return all
}
