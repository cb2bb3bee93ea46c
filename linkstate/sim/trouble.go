package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// Crash ends a server without a word of its own. Neighbours see their streams
// close if the host still answers; if not, they see nothing.
func (w *World) Crash(server linkstate.GUID, hostToo bool) {
	n := w.node(server)
	if n.machine == nil {
		return
	}
	w.note("%s crashes, host too: %v", label(server), hostToo)
	for _, other := range w.nodes {
		if epoch := n.stream[other.server]; epoch != 0 && !hostToo && w.passes(n, other) {
			w.after(w.delay(), func() { other.closed(server, epoch) })
		}
	}
	n.machine = nil
	n.run++
	n.thaw()
}

// CrashGroup ends all servers of a group in one moment, as a site without power does.
func (w *World) CrashGroup(group linkstate.GUID) {
	for _, m := range w.directory.Servers {
		if m.Group == group {
			w.Crash(m.Server, true)
		}
	}
}

// Freeze has a server stand still for a time: its process is stopped, or its host
// suspended. What is sent to it waits until it goes on.
func (w *World) Freeze(server linkstate.GUID, d time.Duration) {
	n := w.node(server)
	if n.machine == nil || n.frozen {
		return
	}
	w.note("%s stands still", label(server))
	n.frozen = true
	run := n.run
	w.after(d, func() {
		if n.run == run {
			w.Thaw(server)
		}
	})
}

// Thaw has a server go on that stands still.
func (w *World) Thaw(server linkstate.GUID) {
	if n := w.node(server); n.frozen {
		w.note("%s goes on", label(server))
		n.thaw()
	}
}

// Return starts a crashed server, with its disk or an empty one.
func (w *World) Return(server linkstate.GUID, emptyDisk bool) {
	n := w.node(server)
	if emptyDisk {
		n.disk = nil
	}
	w.start(n)
}

// SetClock sets the clock of a server that does not run, by so much from the time
// of the world. Incarnations are made of clocks.
func (w *World) SetClock(server linkstate.GUID, skew time.Duration) {
	if n := w.node(server); n.machine == nil {
		w.note("the clock of %s is set to %+v", label(server), skew.Round(time.Second))
		n.skew = skew
	}
}

// Wait closes a connector, as a schedule does, or opens it again. While it waits no
// mail is sent over it.
func (w *World) Wait(connector linkstate.GUID, waits bool) {
	w.note("%s waits: %v", label(connector), waits)
	if waits {
		w.waiting[connector] = w.now
	} else {
		delete(w.waiting, connector)
	}
	for _, n := range w.nodes {
		if n.machine != nil {
			n.soon(func() {
				if n.machine != nil {
					n.perform(n.machine.SetWaiting(w.waits(), n.clock()))
				}
			})
		}
	}
}

func (w *World) waits() []linkstate.GUID {
	return slices.SortedFunc(maps.Keys(w.waiting), linkstate.GUID.Compare)
}

// Cut loses everything that a sends to b.
func (w *World) Cut(a, b linkstate.GUID) {
	w.note("cut from %s to %s", label(a), label(b))
	w.cut[[2]linkstate.GUID{a, b}] = true
}

// Split cuts the organisation in two.
func (w *World) Split() {
	side := make(map[linkstate.GUID]bool)
	for _, n := range w.nodes {
		side[n.server] = w.random.IntN(2) == 0
	}
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if side[a.server] != side[b.server] {
				w.Cut(a.server, b.server)
			}
		}
	}
}

// Heal ends all cuts.
func (w *World) Heal() {
	w.note("all cuts heal")
	clear(w.cut)
}

// Calm ends loss and duplication of frames, waiting and standing still; delay and
// overtaking stay.
func (w *World) Calm() {
	w.lossy = false
	for _, n := range w.nodes {
		w.Thaw(n.server)
	}
	for _, c := range w.waits() {
		w.Wait(c, false)
	}
}

// Remove takes a server out of the directory. Each node hears of it in its own time.
func (w *World) Remove(server linkstate.GUID) {
	w.note("the directory loses %s", label(server))
	d := w.directory
	d.Servers = slices.DeleteFunc(slices.Clone(d.Servers), func(m linkstate.Member) bool { return m.Server == server })
	w.publish(d)
}

// Add puts a new server into the directory, in the group of another one.
func (w *World) Add(like linkstate.GUID) {
	d := w.directory
	i := slices.IndexFunc(d.Servers, func(m linkstate.Member) bool { return m.Server == like })
	if i < 0 {
		return
	}
	server := w.name('s', len(w.nodes))
	w.note("the directory gains %s", label(server))
	d.Servers = append(slices.Clone(d.Servers), linkstate.Member{Server: server, Group: d.Servers[i].Group})
	n := w.addNode(server)
	w.publish(d)
	w.after(w.upTo(5*time.Second), func() { w.start(n) })
}

// Unlink takes a connector out of the directory. It keeps one: a world without any has
// nothing to break.
func (w *World) Unlink(connector linkstate.GUID) {
	d := w.directory
	i := slices.IndexFunc(d.Connectors, func(c linkstate.ConnectorInfo) bool { return c.GUID == connector })
	if i < 0 || len(d.Connectors) == 1 {
		return
	}
	w.note("the directory loses %s", label(connector))
	w.unlinked = append(w.unlinked, d.Connectors[i])
	d.Servers, d.Connectors = slices.Clone(d.Servers), slices.Delete(slices.Clone(d.Connectors), i, i+1)
	w.publish(d)
}

// Relink puts all connectors back that the directory has lost.
func (w *World) Relink() {
	if len(w.unlinked) == 0 {
		return
	}
	w.note("the directory has all connectors again")
	d := w.directory
	d.Servers, d.Connectors = slices.Clone(d.Servers), slices.Concat(d.Connectors, w.unlinked)
	w.unlinked = nil
	w.publish(d)
}

func (w *World) publish(d linkstate.Members) {
	w.directory = d
	for _, n := range w.nodes {
		w.after(w.upTo(5*time.Second), func() {
			n.soon(func() {
				n.members = w.directory
				n.configure()
			})
		})
	}
}

// Trouble makes one random bad thing happen.
func (w *World) Trouble() {
	pick := func() linkstate.GUID { return w.nodes[w.random.IntN(len(w.nodes))].server }
	switch w.random.IntN(22) {
	case 0, 1, 2:
		server := pick()
		w.Crash(server, w.random.IntN(3) == 0)
		if w.random.IntN(4) > 0 {
			empty := w.random.IntN(4) == 0
			w.after(w.upTo(15*time.Second), func() { w.Return(server, empty) })
		}
	case 3, 4:
		a, b := pick(), pick()
		w.Cut(a, b)
		if w.random.IntN(2) == 0 {
			w.Cut(b, a)
		}
	case 5:
		w.Split()
	case 6, 7:
		w.Heal()
	case 8:
		if len(w.directory.Servers) > 3 {
			w.Remove(w.directory.Servers[w.random.IntN(len(w.directory.Servers))].Server)
		}
	case 9:
		w.Add(pick())
	case 10:
		w.CrashGroup(w.group(pick()))
	case 11:
		server, empty := pick(), w.random.IntN(2) == 0
		w.Crash(server, false)
		w.SetClock(server, w.upTo(4*time.Hour)-2*time.Hour)
		w.after(w.upTo(5*time.Second), func() { w.Return(server, empty) })
	case 19, 20:
		w.Unlink(w.directory.Connectors[w.random.IntN(len(w.directory.Connectors))].GUID)
	case 21:
		w.Relink()
	case 17, 18:
		w.Freeze(pick(), w.upTo(20*time.Second))
	case 12, 13:
		c := w.directory.Connectors[w.random.IntN(len(w.directory.Connectors))].GUID
		_, waits := w.waiting[c]
		w.Wait(c, !waits)
	default:
		c := w.directory.Connectors[w.random.IntN(len(w.directory.Connectors))].GUID
		w.broken[c] = !w.broken[c]
	}
}
