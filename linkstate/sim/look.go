package sim

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// What a test that has more to simulate than link state needs of a world: to see
// what each server knows, and to add events of its own.

// Directory is the newest truth.
func (w *World) Directory() linkstate.Members { return w.directory }

// Knows gives what a server knows now, of the directory and of all servers; false
// while it does not run, or stands still.
func (w *World) Knows(server linkstate.GUID) (linkstate.Members, *linkstate.Table, bool) {
	n := w.node(server)
	if n == nil || n.machine == nil || n.frozen {
		return linkstate.Members{}, nil, false
	}
	return n.members, n.machine.Table(), true
}

// All names every server that ever was, running or not.
func (w *World) All() []linkstate.GUID {
	all := make([]linkstate.GUID, len(w.nodes))
	for i, n := range w.nodes {
		all[i] = n.server
	}
	return all
}

// Passes says whether packets pass between two servers, both ways, and both run.
func (w *World) Passes(a, b linkstate.GUID) bool { return w.reach(w.node(a), w.node(b)) }

// Works says whether mail over a connector, seen from one of its bridgeheads, gets
// through now.
func (w *World) Works(connector linkstate.GUID) bool { return !w.broken[connector] }

// Waits says whether a connector is closed now.
func (w *World) Waits(connector linkstate.GUID) bool {
	_, waits := w.waiting[connector]
	return waits
}

// Tell reports to a server what became of a message over one of its connectors.
func (w *World) Tell(server, connector linkstate.GUID, ok bool) {
	n := w.node(server)
	n.soon(func() {
		if n.machine != nil {
			n.result(connector, ok)
		}
	})
}

// After has something done when a time has passed, among all other events.
func (w *World) After(d time.Duration, do func()) { w.after(d, do) }

// UpTo draws a time below d.
func (w *World) UpTo(d time.Duration) time.Duration { return w.upTo(d) }

// Delay draws the time that a packet takes.
func (w *World) Delay() time.Duration { return w.delay() }

// Pick draws a number below n.
func (w *World) Pick(n int) int { return w.random.IntN(n) }

// Note puts a line into the trace.
func (w *World) Note(format string, args ...any) { w.note(format, args...) }

// Break ends the run with a rule that was broken.
func (w *World) Break(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// Label is the short name of a server, group or connector of a world.
func Label(g linkstate.GUID) string { return label(g) }
