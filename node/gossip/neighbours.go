package gossip

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// Neighbour is one peer as the CLI shows it.
type Neighbour struct {
	Server    mail.GUID
	Address   string
	Connected bool
	Since     time.Time // of this state
	LastError string    // why the last stream or dial ended; kept while connected
	Load      Load      // as the peer told last
	Protocol  uint32    // that is spoken with it; 0: not connected
	// DivergedSince: its table differs from this node's though news passes; zero: it
	// does not.
	DivergedSince time.Time
	Carrier       Carrier // of the stream; empty without one
}

// neighbour is a peer that the machine wants a stream to; guarded by Runner.mu.
type neighbour struct {
	guid    linkstate.GUID
	address string
	session *session // nil: no stream
	since   time.Time
	lastErr string
	load    Load

	diverged time.Time // since; zero: not

	hangUp context.CancelFunc // ends the dialer; nil: none runs
	wake   chan struct{}      // the dialer need not wait any longer
	lost   chan struct{}      // the stream has ended
}

// drop ends the stream, if any.
func (n *neighbour) drop(cause error, now time.Time) {
	if n.session == nil {
		return
	}
	n.session.end(cause)
	n.session, n.since, n.lastErr = nil, now, cause.Error()
	signal(n.lost)
}

// stop ends the stream and the dialer.
func (n *neighbour) stop(cause error) {
	if n.session != nil {
		n.session.end(cause)
	}
	if n.hangUp != nil {
		n.hangUp()
	}
}

func (n *neighbour) setAddress(a string) {
	if a != n.address {
		n.address = a
		signal(n.wake)
	}
}

func (r *Runner) addNeighbour(peer linkstate.GUID) {
	if r.neighbours[peer] != nil {
		return
	}
	n := &neighbour{
		guid:    peer,
		address: r.addresses[mail.GUID(peer)],
		since:   r.conf.Now(),
		wake:    make(chan struct{}, 1),
		lost:    make(chan struct{}, 1),
	}
	r.neighbours[peer] = n
	r.startDialer(n)
}

func (r *Runner) removeNeighbour(peer linkstate.GUID) {
	if n := r.neighbours[peer]; n != nil {
		n.stop(errNotNeighbour)
		delete(r.neighbours, peer)
	}
}

// attach makes s the stream to its peer.
func (r *Runner) attach(s *session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		return ErrStopped
	}
	n := r.neighbours[s.peer]
	if n == nil {
		return errNotNeighbour
	}
	if s.dialled && !r.carrierTo(s.peer).permits(s.carrier) {
		return errOtherCarrier // since it was dialled
	}
	if n.session != nil {
		n.drop(errReplaced, r.conf.Now())
		r.stepLocked(func(m *linkstate.Machine, now time.Time) []linkstate.Effect { return m.PeerLost(s.peer, now) })
	}
	n.session, n.since = s, r.conf.Now()
	r.log.Info("gossip_peer_up", r.server("peer", s.peer), zap.String("address", n.address), zap.String("carrier", string(s.carrier)))
	r.stepLocked(func(m *linkstate.Machine, now time.Time) []linkstate.Effect {
		return m.PeerUp(s.peer, min(s.protocol, r.protocol), now)
	})
	r.sessions.Add(2)
	go s.read(r)
	go s.write(r)
	return nil
}

// detach tells the machine that a stream ended, unless it ended it itself or
// another one has taken its place.
func (r *Runner) detach(s *session, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	level := zap.InfoLevel
	if r.running == nil || r.running.Err() != nil {
		level = zap.DebugLevel // this node hangs up, on all
	}
	r.log.Log(level, "gossip_peer_lost", r.server("peer", s.peer), zap.NamedError("reason", cause))
	n := r.neighbours[s.peer]
	if n == nil || n.session != s {
		return
	}
	n.drop(cause, r.conf.Now())
	r.stepLocked(func(m *linkstate.Machine, now time.Time) []linkstate.Effect { return m.PeerLost(s.peer, now) })
}

// receive hands a frame to the machine, unless the stream is not the peer's any more.
func (r *Runner) receive(s *session, f linkstate.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.neighbours[s.peer]
	if n == nil || n.session != s {
		return
	}
	if k, ok := f.(*linkstate.Keepalive); ok {
		n.load = Load{k.Revision, k.Queued}
	}
	r.stepLocked(func(m *linkstate.Machine, now time.Time) []linkstate.Effect { return m.Receive(s.peer, f, now) })
}

// Neighbours lists the peers of this node, sorted by GUID.
func (r *Runner) Neighbours() []Neighbour {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Neighbour, 0, len(r.neighbours))
	for _, n := range r.neighbours {
		x := Neighbour{
			Server: mail.GUID(n.guid), Address: n.address, Connected: n.session != nil, Since: n.since,
			LastError: n.lastErr, Load: n.load, DivergedSince: n.diverged,
		}
		if n.session != nil {
			x.Protocol, x.Carrier = min(n.session.protocol, r.protocol), n.session.carrier
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b Neighbour) int { return bytes.Compare(a.Server[:], b.Server[:]) })
	return all
}
