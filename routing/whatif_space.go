package routing

import (
	"cmp"
	"slices"
	"strings"
)

// SpaceMove is an address space for which the mail of a group leaves otherwise.
type SpaceMove struct {
	From GUID
	// Type and Pattern of the space; addresses that match a more specific one
	// are not meant.
	Type, Pattern string
	Before, After Exit
}

// Exit is how mail for an address space leaves.
type Exit struct {
	Kind Kind
	// Connector that is chosen; zero if none is.
	Connector GUID
	// Cost of path and address space; -1 without a connector.
	Cost int
	// Path is the groups to the connector's own.
	Path []GUID
	// Held is the first connector on the path, or the chosen one, that is down
	// and holds its mail; zero if mail moves.
	Held GUID
	// Reason says why mail waits or cannot leave.
	Reason string
}

// equal compares what happens to the mail; reasons are words.
func (e Exit) equal(f Exit) bool {
	return e.Kind == f.Kind && e.Connector == f.Connector && e.Cost == f.Cost && e.Held == f.Held && slices.Equal(e.Path, f.Path)
}

// pattern is an address space without its cost, in the form that decides.
type pattern struct{ typ, text string }

// spacesOf lists the address spaces of both maps, each once, sorted.
func spacesOf(maps ...*Topology) []pattern {
	var all []pattern
	seen := make(map[pattern]bool)
	for _, top := range maps {
		for i := range top.Connectors {
			for _, as := range top.Connectors[i].AddressSpaces {
				p := pattern{upperType(as.Type), strings.ToLower(as.Pattern)}
				if !seen[p] {
					seen[p] = true
					all = append(all, p)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.text, b.text))
	})
	return all
}

// example is an address that the pattern matches and that only less specific
// patterns match besides: where the wildcard stands it has an octet that occurs
// in no address space.
func (p pattern) example() string {
	const octet = "\x00"
	last := strings.LastIndexByte(p.text, '*')
	switch {
	case last < 0:
		return p.text
	case strings.Trim(p.text, "*") == "":
		return octet
	case p.typ != typeSMTP && last == len(p.text)-1:
		return p.text[:strings.IndexByte(p.text, '*')] + octet
	}
	return octet + p.text[last+1:]
}

func spaceMoves(a, b *Table, from GUID, spaces []pattern, m *Message) []SpaceMove {
	if a.group < 0 && b.group < 0 {
		return nil // nobody is there to send
	}
	var moves []SpaceMove
	for _, p := range spaces {
		move := SpaceMove{From: from, Type: p.typ, Pattern: p.text, Before: a.exit(p, m), After: b.exit(p, m)}
		if !move.Before.equal(move.After) {
			moves = append(moves, move)
		}
	}
	return moves
}

// exit decides for an address space.
func (t *Table) exit(p pattern, m *Message) Exit {
	d := t.ToAddress(p.typ, p.example(), m)
	e := Exit{Kind: d.Kind, Cost: -1}
	if d.Kind == Unreachable || d.Kind == NoRoute || d.Kind == Loop {
		e.Reason = d.Reason
	}
	conn, ok := t.connAt[d.Connector]
	if !ok {
		return e
	}
	n, s := &t.conns[conn], t.pathsFor(m)
	e.Connector, e.Cost = d.Connector, d.Cost
	e.Path, e.Held = t.groupPath(s, n.group), t.heldOn(s, n.group)
	if e.Held.IsZero() && n.state == stateHeld {
		e.Held = d.Connector
	}
	return e
}
