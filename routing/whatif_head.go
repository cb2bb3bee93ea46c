package routing

import "slices"

// Takeover is a connector whose mail would cross by other bridgeheads. One that
// loses its last bridgehead is none: its ways change.
type Takeover struct {
	Connector GUID
	// Remote: those that receive, otherwise those that send.
	Remote bool
	// The bridgeheads that mail is spread over, in the order of the map.
	Before, After []GUID
}

// takeovers compares the bridgeheads of two tables of nobody.
func takeovers(was, would *Table) []Takeover {
	var list []Takeover
	for i := range was.top.Connectors {
		j, ok := would.connAt.get(was.top.Connectors[i].GUID)
		if !ok || was.conns[i].state == stateOff || would.conns[j].state == stateOff {
			continue
		}
		for _, remote := range []bool{false, true} {
			x := Takeover{Connector: was.top.Connectors[i].GUID, Remote: remote, Before: was.heads(i, remote), After: would.heads(int(j), remote)}
			if len(x.Before) > 0 && len(x.After) > 0 && !slices.Equal(x.Before, x.After) {
				list = append(list, x)
			}
		}
	}
	return list
}

// heads are the bridgeheads of one side that carry mail: the drained ones only
// where nothing else is left.
func (t *Table) heads(conn int, remote bool) []GUID {
	c := &t.top.Connectors[conn]
	ranked := t.locals(c, nil)
	if remote {
		ranked = t.remotes(c, nil)
	}
	_, clear := anyUp(ranked)
	var heads []GUID
	for _, r := range ranked {
		if r.Up && (!r.Drained || !clear) {
			heads = append(heads, r.Server)
		}
	}
	return heads
}
