package sim

import (
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// dial tries to open a stream to a peer, again and again while it is wanted.
// The lower of two GUIDs dials.
func (n *node) dial(peer linkstate.GUID, run int) {
	if n.server.Compare(peer) > 0 {
		return
	}
	n.w.after(n.w.delay(), func() { n.soon(func() { n.call(peer, run) }) })
}

func (n *node) call(peer linkstate.GUID, run int) {
	if n.run != run || n.machine == nil || !n.wants[peer] || n.stream[peer] != 0 {
		return
	}
	other := n.w.node(peer)
	if !n.w.reach(n, other) || !other.wants[n.server] {
		n.w.after(n.w.upTo(time.Second), func() { n.dial(peer, run) })
		return
	}
	n.w.serial++
	epoch := n.w.serial
	n.w.detail("%s and %s are connected", label(n.server), label(peer))
	other.open(n.server, epoch)
	n.open(peer, epoch)
}

func (n *node) open(peer linkstate.GUID, epoch int) {
	if n.stream[peer] != 0 {
		n.perform(n.machine.PeerLost(peer, n.clock()))
	}
	n.stream[peer] = epoch
	n.perform(n.machine.PeerUp(peer, min(n.protocol, n.w.node(peer).protocol), n.clock()))
}

// hangUp closes this side's end; the other side hears of it if it can.
func (n *node) hangUp(peer linkstate.GUID) {
	epoch := n.stream[peer]
	delete(n.stream, peer)
	if other := n.w.node(peer); epoch != 0 && n.w.passes(n, other) {
		n.w.after(n.w.delay(), func() { other.closed(n.server, epoch) })
	}
}

// closed: the peer, or its kernel, has closed the stream.
func (n *node) closed(peer linkstate.GUID, epoch int) {
	n.soon(func() { n.hear(peer, epoch) })
}

// hear that the stream is closed.
func (n *node) hear(peer linkstate.GUID, epoch int) {
	if n.machine == nil || n.stream[peer] != epoch {
		return
	}
	delete(n.stream, peer)
	n.w.detail("%s lost its stream to %s", label(n.server), label(peer))
	n.perform(n.machine.PeerLost(peer, n.clock()))
	if n.wants[peer] {
		n.dial(peer, n.run)
	}
}

// reach: both run and answer, and packets pass both ways.
func (w *World) reach(a, b *node) bool {
	return w.passes(a, b) && !a.frozen && !b.frozen
}

// passes: packets pass both ways between two that run; a kernel answers for a
// process that stands still.
func (w *World) passes(a, b *node) bool {
	return a.machine != nil && b != nil && b.machine != nil &&
		!w.cut[[2]linkstate.GUID{a.server, b.server}] && !w.cut[[2]linkstate.GUID{b.server, a.server}]
}

// usable: mail over the connector would get through now. Nobody sends to a server
// that has left the directory, though it may still run.
func (w *World) usable(n *node, connector linkstate.GUID) bool {
	for _, c := range n.members.Connectors {
		if c.GUID == connector {
			return !w.broken[connector] && (len(c.Remote) == 0 || slices.ContainsFunc(c.Remote, func(r linkstate.GUID) bool {
				return n.knows(r) && w.reach(n, w.node(r))
			}))
		}
	}
	return false
}

// knows: the server is in this node's directory.
func (n *node) knows(server linkstate.GUID) bool {
	return slices.ContainsFunc(n.members.Servers, func(m linkstate.Member) bool { return m.Server == server })
}

func (w *World) send(from *node, to linkstate.GUID, f linkstate.Frame) {
	if r, ok := f.(*linkstate.Records); ok && len(r.Patches) > 0 && min(from.protocol, w.node(to).protocol) < linkstate.ProtocolPatches {
		from.broken("%s sends a patch to %s, between which protocol 1 is spoken", label(from.server), label(to))
	}
	if w.OnSend != nil {
		w.OnSend(from.server, to, f)
	}
	epoch := from.stream[to]
	other := w.node(to)
	copies := 1
	if w.lossy && w.random.Float64() < w.conf.Loss {
		copies = 0
	}
	if w.lossy && w.random.Float64() < w.conf.Duplicate {
		copies++
	}
	for range copies {
		w.after(w.delay(), func() {
			if w.cut[[2]linkstate.GUID{from.server, to}] {
				return
			}
			other.soon(func() {
				if epoch != 0 && other.machine != nil && other.stream[from.server] == epoch {
					other.perform(other.machine.Receive(from.server, f, other.clock()))
				}
			})
		})
	}
}
