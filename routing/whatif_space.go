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
	// Path is the groups to the connector's own, Over the connectors between them.
	Path, Over []GUID
	// Held is the first connector on the path, or the chosen one, that is down
	// and holds its mail; zero if mail moves.
	Held GUID
	// Reason says why mail waits or cannot leave.
	Reason string
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

func spaceMoves(a, b *Table, from GUID, spaces []pattern, examples []string, m *Message) []SpaceMove {
	if a.group < 0 && b.group < 0 {
		return nil // nobody is there to send
	}
	var moves []SpaceMove
	for i, p := range spaces {
		before, after := a.leave(p.typ, examples[i], m), b.leave(p.typ, examples[i], m)
		if !before.equal(after) {
			moves = append(moves, SpaceMove{From: from, Type: p.typ, Pattern: p.text, Before: before.exit(), After: after.exit()})
		}
	}
	return moves
}

// departure is an exit as far as it needs not be written down: most of a million
// are only compared.
type departure struct {
	Decision
	way  branch
	held GUID
}

// leave decides for an address.
func (t *Table) leave(typ, address string, m *Message) departure {
	d := departure{Decision: t.ToAddress(typ, address, m), way: branch{t: t, to: -1}}
	conn, ok := t.connAt.get(d.Connector)
	if !ok {
		return d
	}
	d.way.s, d.way.to = t.pathsFor(m), t.conns[conn].group
	if d.held = t.heldOn(d.way.s, d.way.to); d.held.IsZero() && t.conns[conn].state == stateHeld {
		d.held = d.Connector
	}
	return d
}

// equal compares what happens to the mail; reasons are words.
func (d departure) equal(e departure) bool {
	return d.Kind == e.Kind && d.Connector == e.Connector && d.Cost == e.Cost && d.held == e.held && d.way.equal(e.way)
}

func (d departure) exit() Exit {
	e := Exit{Kind: d.Kind, Cost: -1}
	if d.Kind == Unreachable || d.Kind == NoRoute || d.Kind == Loop {
		e.Reason = d.Reason
	}
	if d.way.to >= 0 {
		e.Connector, e.Cost, e.Held = d.Connector, d.Cost, d.held
		e.Path, e.Over = d.way.t.groupPath(d.way.s, d.way.to), d.way.t.connectorsTo(d.way.s, d.way.to)
	}
	return e
}
