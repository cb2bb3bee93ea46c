package linkstate

import (
	"fmt"
	"slices"
	"time"
)

// peer is one neighbour.
type peer struct {
	server  GUID
	inGroup bool
	// watched: this server asserts the peer's death (see the package comment).
	watched bool

	connected bool
	met       bool      // tables were compared on this stream
	protocol  uint32    // as the peer speaks it
	heard     time.Time // last frame, or when waiting for one began
	everHeard bool
	sent      time.Time // last frame

	// suspectSince is when this server learned of the suspicion it may have to
	// turn into Down; zero if there is none.
	suspectSince time.Time
	// refuted counts accusations that the peer took back while it could not be
	// reached from here. Each doubles the patience, so that two members that
	// cannot reach each other do not quarrel for ever before the organisation.
	refuted int

	pending []*Record // to be sent at the end of the step
	wants   []GUID    // to be asked for at the end of the step
	known   known

	// theirs and ours are the hashes at the peer's last keep-alive; compared is
	// the pair for which a synchronisation was already tried.
	theirs, ours Hash
	compared     [2]Hash

	// difference is the exclusive or of both hashes, the same as long as it is made
	// of the same records; since then; told as Diverged.
	difference Hash
	since      time.Time
	diverged   bool
}

// Patience before a watched server is suspected.
const (
	// bootPatience multiplies SuspectAfter for a server never heard in this run:
	// nodes of a cluster do not all start in the same second.
	bootPatience = 3
	// maxRefuted bounds the doubling at 2^4 times SuspectAfter: a real death must
	// still be noticed when nobody else can.
	maxRefuted = 4
)

func (m *Machine) peer(server GUID) *peer {
	i, ok := slices.BinarySearchFunc(m.peers, server, func(p *peer, g GUID) int { return p.server.Compare(g) })
	if !ok {
		return nil
	}
	return m.peers[i]
}

// PeerUp: a stream to the peer is open and the carrier knows that it is the
// peer, and which version of the protocol it speaks at most. A peer that is no
// neighbour is refused with a Disconnect.
func (m *Machine) PeerUp(server GUID, protocol uint32, now time.Time) []Effect {
	p := m.peer(server)
	if p == nil {
		m.emit(Disconnect{server})
		return m.flush()
	}
	p.connected, p.heard, p.everHeard, p.sent = true, now, true, now
	p.protocol, p.known, p.refuted, p.met = protocol, known{}, 0, false
	if w := m.ward(m.groups[server]); w != nil {
		w.refuted = 0
	}
	p.theirs, p.ours, p.compared = Hash{}, Hash{}, [2]Hash{}
	if m.conf.Self.Compare(server) > 0 {
		p.met = true
		m.emit(Send{server, &Digest{Hash: m.table.Digest()}})
	}
	for _, l := range m.links {
		m.remoteReached(l, server, now)
	}
	return m.flush()
}

// PeerLost: the stream broke. A lost stream is no proof of death, but reason
// enough to look: connectors that lead to the peer are probed at once.
func (m *Machine) PeerLost(server GUID, now time.Time) []Effect {
	if p := m.peer(server); p != nil && p.connected {
		m.lose(p, now)
	}
	return m.flush()
}

func (m *Machine) lose(p *peer, now time.Time) {
	p.connected = false
	p.pending, p.wants, p.known = p.pending[:0], p.wants[:0], known{}
	m.agree(p)
	for _, l := range m.links {
		m.remoteLost(l, p.server, now)
	}
}

func (m *Machine) tickPeer(p *peer, now time.Time) {
	silence := now.Sub(p.heard)
	if p.connected && silence >= m.timings.SuspectAfter {
		m.lose(p, now)
		m.emit(Reset{p.server, fmt.Sprintf("nothing heard for %v", silence.Round(time.Millisecond))})
	}
	if p.connected && now.Sub(p.sent) >= m.timings.Keepalive {
		p.sent = now
		m.emit(Send{p.server, &Keepalive{Hash: m.table.Digest()}})
	}
	if p.watched && !p.connected {
		m.judge(p, silence, now)
	}
}

// judge decides what to say of a watched server that cannot be heard.
func (m *Machine) judge(p *peer, silence time.Duration, now time.Time) {
	patience := m.timings.SuspectAfter << p.refuted
	if !p.everHeard {
		patience *= bootPatience
	}
	if silence < patience {
		return
	}
	switch r := m.table.Get(p.server); {
	case r == nil:
		// Nothing was ever heard of it: incarnation 0 loses against anything it will say.
		m.accuse(&Record{Server: p.server}, Suspect, now)
	case r.Status == Alive:
		m.accuse(r, Suspect, now)
	case r.Status == Suspect && now.Sub(later(p.suspectSince, m.woke)) >= m.timings.RefuteWithin:
		m.accuse(r, Down, now)
	}
}

func (m *Machine) accuse(of *Record, s Status, now time.Time) {
	r := *of
	r.Status, r.Accuser, r.Since = s, m.conf.Self, now.UnixMilli()
	m.put(&r, now)
	if p := m.peer(of.Server); p != nil {
		p.suspectSince = now
	}
	m.flood(&r, m.conf.Self)
}

// noteStatus follows what others say of a watched server.
func (m *Machine) noteStatus(before, after *Record, now time.Time) {
	m.noteWard(before, after, now)
	p := m.peer(after.Server)
	if p == nil {
		return
	}
	switch {
	case after.Status == Suspect && (before == nil || before.Status != Suspect || before.Incarnation != after.Incarnation):
		p.suspectSince = now
	case after.Status == Alive && !p.connected && before != nil && after.Incarnation > before.Incarnation:
		// Someone else heard it: a sign of life, though not one for us.
		if before.Status != Alive {
			p.refuted = min(p.refuted+1, maxRefuted)
		}
		p.heard = now
	}
}
