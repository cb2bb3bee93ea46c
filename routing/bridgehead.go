package routing

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Weight is the weight of b for a in highest-random-weight hashing: each a
// prefers the b with the highest weight. Taking one b away moves only those a
// that preferred it. It depends on nothing but the two GUIDs, so all versions
// of all servers agree on it.
func Weight(a, b GUID) uint64 {
	h := mix(binary.LittleEndian.Uint64(a[:8]) + 0x9e3779b97f4a7c15)
	h = mix(h ^ binary.LittleEndian.Uint64(a[8:]))
	h = mix(h ^ binary.LittleEndian.Uint64(b[:8]) + 0x9e3779b97f4a7c15)
	return mix(h ^ binary.LittleEndian.Uint64(b[8:]))
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in
// which each input bit changes each output bit in half of all cases.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Ranked is one bridgehead in the order in which this server prefers them.
type Ranked struct {
	Server GUID
	// Remote: receives in the target group; otherwise sends in this group.
	Remote bool
	Up     bool
	// Weight: the highest wins, among those that are not drained.
	Weight  uint64
	Drained bool
	Chosen  bool
	Reason  string

	damped, unheard bool
}

// rank orders bridgeheads: live before dead, not drained before drained, heard of
// before unheard, then by weight, then by GUID.
func rank(list []Ranked) {
	slices.SortFunc(list, func(a, b Ranked) int {
		switch {
		case a.Up != b.Up:
			return trueFirst(a.Up)
		case a.Drained != b.Drained:
			return trueFirst(b.Drained)
		case a.unheard != b.unheard:
			return trueFirst(b.unheard)
		case a.Weight != b.Weight:
			return trueFirst(a.Weight > b.Weight)
		}
		return bytes.Compare(a.Server[:], b.Server[:])
	})
}

func trueFirst(a bool) int {
	if a {
		return -1
	}
	return 1
}

// locals judges the connector's bridgeheads in its own group.
func (t *Table) locals(c *Connector, list []Ranked) []Ranked {
	for i := range c.Bridgeheads {
		b := &c.Bridgeheads[i]
		r := t.judge(b.Server)
		switch {
		case !r.Up || b.Up:
		case b.Damped:
			r.Drained, r.damped = true, true
		default:
			r.Up, r.Reason = false, since(b.Reason, b.SinceMS)
		}
		list = append(list, r)
	}
	return list
}

// remotes judges the servers that receive from a routing group connector.
func (t *Table) remotes(c *Connector, list []Ranked) []Ranked {
	for _, g := range c.Remote {
		r := t.judge(g)
		r.Remote = true
		list = append(list, r)
	}
	return list
}

// fit says whether a server may carry mail of others, and whether only if nothing
// else is left. This server itself is never barred by its own drain: what it
// holds must leave.
func (t *Table) fit(server GUID) (up, drained bool) {
	i, ok := t.serverAt.get(server)
	if !ok {
		return false, false
	}
	s := &t.top.Servers[i]
	return server == t.top.Self || s.Up && s.Drain != DrainHard, s.Drain != DrainNone
}

// judge is fit with the reason.
func (t *Table) judge(server GUID) Ranked {
	r := Ranked{Server: server}
	r.Up, r.Drained = t.fit(server)
	i, ok := t.serverAt.get(server)
	r.unheard = ok && t.top.Servers[i].Unheard && server != t.top.Self
	switch {
	case r.Up:
	case !ok:
		r.Reason = "not in the directory"
	case !t.top.Servers[i].Up:
		r.Reason = orElse(t.top.Servers[i].Reason, "server is down")
	default:
		r.Reason = "server is drained"
	}
	return r
}

// live ranks what is up of list for this server, or one bucket of its messages,
// and gives the GUIDs.
func (t *Table) live(c *Connector, list []Ranked, bucket uint8) []GUID {
	by := chooser(t.top.Self, c.Spread, bucket)
	for i := range list {
		list[i].Weight = Score(by, list[i].Server, c.share(list[i].Server))
	}
	rank(list)
	var up []GUID
	for _, r := range list {
		if r.Up {
			up = append(up, r.Server)
		}
	}
	return slices.Clip(up)
}
