package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// Agreed checks what must be true after a time without trouble: servers that
// can reach each other, directly or over neighbours, have the same table, and
// the table says what is the case.
func (w *World) Agreed() error { return w.failure(w.agreed()) }

func (w *World) agreed() error {
	for _, part := range w.parts() {
		for _, n := range part {
			if err := w.agree(part, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// Settle lets time pass without trouble until all agree, at most as long as quiet,
// and a little longer to see that they go on to.
func (w *World) Settle(quiet time.Duration) error {
	const step = 4 * time.Second
	for end := w.now.Add(quiet); w.now.Before(end); {
		if err := w.Run(step); err != nil {
			return err
		}
		if w.agreed() == nil {
			if err := w.Run(step); err != nil {
				return err
			}
			if w.agreed() == nil {
				return nil
			}
		}
	}
	return w.Agreed()
}

func (w *World) agree(part []*node, n *node) error {
	ours, theirs := n.machine.Table(), part[0].machine.Table()
	if ours.Digest() != theirs.Digest() {
		return fmt.Errorf("%s and %s do not agree: %s against %s", label(n.server), label(part[0].server), ours.Digest(), theirs.Digest())
	}
	heard := w.joined(n)
	for _, m := range w.directory.Servers {
		r := ours.Get(m.Server)
		if r != nil && !heard[m.Server] {
			return fmt.Errorf("%s still has a record of %s, of which nothing can be heard", label(n.server), label(m.Server))
		}
		switch here := slices.ContainsFunc(part, func(o *node) bool { return o.server == m.Server }); {
		case here && (r == nil || r.Status != linkstate.Alive):
			return fmt.Errorf("%s does not believe that %s lives: %+v", label(n.server), label(m.Server), r)
		case !here && w.watchedBy(part, m) && (r == nil || r.Status != linkstate.Down):
			return fmt.Errorf("%s does not believe that %s is down: %+v", label(n.server), label(m.Server), r)
		case here:
			if err := w.linksTrue(r); err != nil {
				return fmt.Errorf("in the table of %s: %w", label(n.server), err)
			}
		}
	}
	for _, r := range ours.All() {
		if !slices.ContainsFunc(w.directory.Servers, func(m linkstate.Member) bool { return m.Server == r.Server }) {
			return fmt.Errorf("%s still has a record of %s, which the directory has not", label(n.server), label(r.Server))
		}
	}
	return nil
}

// linksTrue: a bridgehead says of its connectors what is so.
func (w *World) linksTrue(r *linkstate.Record) error {
	n, says := w.node(r.Server), 0
	for _, c := range w.directory.Connectors {
		if !slices.Contains(c.Local, r.Server) {
			continue
		}
		s, ok := r.Connector(c.GUID)
		if !ok {
			return fmt.Errorf("%s says nothing of connector %s", label(r.Server), label(c.GUID))
		}
		says++
		if up := w.usable(n, c.GUID); s.Down == up {
			return fmt.Errorf("%s says of connector %s: down %v (%s), and it is %v", label(r.Server), label(c.GUID), s.Down, s.Reason, !up)
		}
	}
	if says != len(r.Connectors) {
		return fmt.Errorf("%s speaks of %d connectors, and is a bridgehead of %d", label(r.Server), len(r.Connectors), says)
	}
	return nil
}

// joined are the servers that the directory joins to a node: those of one group, and
// those at the ends of one connector, over others perhaps.
func (w *World) joined(n *node) map[linkstate.GUID]bool {
	heard := map[linkstate.GUID]bool{n.server: true}
	for grown := true; grown; {
		grown = false
		take := func(servers ...linkstate.GUID) {
			for _, s := range servers {
				if !w.group(s).IsZero() && !heard[s] {
					heard[s], grown = true, true
				}
			}
		}
		for _, a := range w.directory.Servers {
			for _, b := range w.directory.Servers {
				if a.Group == b.Group && heard[a.Server] {
					take(b.Server)
				}
			}
		}
		known := func(s linkstate.GUID) bool { return heard[s] }
		for _, c := range w.directory.Connectors {
			if slices.ContainsFunc(c.Local, known) {
				take(c.Remote...)
			}
			if slices.ContainsFunc(c.Remote, known) {
				take(c.Local...)
			}
		}
	}
	return heard
}

// watchedBy: someone in the part has to notice the death of m.
func (w *World) watchedBy(part []*node, m linkstate.Member) bool {
	if slices.ContainsFunc(part, func(n *node) bool { return w.group(n.server) == m.Group }) {
		return true // its own group is there to speak
	}
	return slices.ContainsFunc(part, func(n *node) bool {
		return slices.ContainsFunc(w.directory.Servers, func(o linkstate.Member) bool { return o.Group == m.Group && n.wants[o.Server] })
	})
}

func (w *World) group(server linkstate.GUID) linkstate.GUID {
	for _, m := range w.directory.Servers {
		if m.Server == server {
			return m.Group
		}
	}
	return linkstate.GUID{}
}

// parts are the sets of running servers that neighbours join at this moment.
func (w *World) parts() [][]*node {
	var parts [][]*node
	seen := make(map[*node]bool)
	for _, first := range w.nodes {
		if seen[first] || first.machine == nil || w.group(first.server).IsZero() {
			continue
		}
		seen[first] = true
		part := []*node{first}
		for i := 0; i < len(part); i++ {
			for _, n := range w.nodes {
				if !seen[n] && part[i].wants[n.server] && w.reach(part[i], n) {
					seen[n] = true
					part = append(part, n)
				}
			}
		}
		parts = append(parts, part)
	}
	return parts
}
