package linkstate

import (
	"slices"
	"time"
)

// link is one connector of which this server is a bridgehead.
//
//	up ──failure──> glitch ──GlitchRetries more, GlitchInterval apart──> down
//	 ^                 │                                                  │
//	 └────success──────┴──────────success (mail or probe)─────────────────┘
//
// A link that flaps is damped: see [Damping]. While it is suppressed a success
// does not bring it up; it is probed when the suppression ends.
//
// A failure while the gossip stream to the remote bridgehead is broken needs no
// retries: two independent signs that the far end is gone.
type link struct {
	info ConnectorInfo

	down   bool
	since  int64
	reason string

	fails   int       // failures in a row that count, while up
	counted time.Time // the last of them
	next    time.Time // next probe; zero: none is due
	probing bool      // a probe is out, its result not yet in
	broken  bool      // gossip with the remote end was lost, and no connection has worked since
	flaps   flaps
}

func newLink(c ConnectorInfo) *link { return &link{info: c} }

func (l *link) state() ConnectorState {
	return ConnectorState{
		Connector: l.info.GUID, Down: l.down, Since: l.since, Reason: l.reason, SuppressedUntil: l.flaps.millis(),
	}
}

// only is the remote bridgehead if there is exactly one.
func (l *link) only() GUID {
	if len(l.info.Remote) == 1 {
		return l.info.Remote[0]
	}
	return GUID{}
}

func (m *Machine) link(connector GUID) *link {
	i, ok := slices.BinarySearchFunc(m.links, connector, func(l *link, g GUID) int { return l.info.GUID.Compare(g) })
	if !ok {
		return nil
	}
	return m.links[i]
}

// LinkResult is what became of a connection over a connector, made for mail or
// as a Probe. Results for connectors of other bridgeheads are ignored.
func (m *Machine) LinkResult(connector GUID, ok bool, reason string, now time.Time) []Effect {
	l := m.link(connector)
	if l == nil {
		return nil
	}
	l.probing = false
	if ok {
		l.succeed(now)
	} else {
		l.fail(reason, now)
	}
	m.publish(now)
	return m.flush()
}

func (l *link) succeed(now time.Time) {
	l.fails, l.next, l.broken = 0, time.Time{}, false
	switch {
	case l.down && l.flaps.suppressed(now):
		l.next = l.flaps.until
	case l.down:
		l.rise(now)
	}
}

func (l *link) rise(now time.Time) {
	l.down, l.since, l.reason = false, now.UnixMilli(), ""
	l.flaps.until = time.Time{}
}

func (l *link) fail(reason string, now time.Time) {
	d := l.info.Detection
	switch {
	case d.SuppressStateChanges:
		return
	case l.down:
		// The first reason stays: new words for an old state would cost the
		// whole organisation a record.
		if l.next.IsZero() {
			l.next = now.Add(d.ProbeInterval)
		}
		return
	case l.fails > 0 && now.Sub(l.counted) < d.GlitchInterval && !l.broken:
		return // many connections that fail together are one failure
	}
	l.fails++
	l.counted = now
	if l.broken || l.fails > d.GlitchRetries {
		l.fails = 0
		l.down, l.since, l.reason = true, now.UnixMilli(), clip(reason)
		l.next = now.Add(d.ProbeInterval)
		l.flaps.note(d.Damping, now)
		return
	}
	l.next = now.Add(d.GlitchInterval)
}

func (m *Machine) tickLink(l *link, now time.Time) {
	if l.next.IsZero() || now.Before(l.next) || l.probing {
		return
	}
	// Spread by a tenth, so that probes of many bridgeheads do not march in step.
	tenth := int(l.info.Detection.ProbeInterval / 10)
	l.next = now.Add(l.info.Detection.ProbeInterval + time.Duration(m.random(tenth)))
	m.probe(l)
}

func (m *Machine) probe(l *link) {
	if l.probing {
		return
	}
	l.probing = true
	m.emit(Probe{l.info.GUID, l.only()})
}

func (m *Machine) random(n int) int {
	if n <= 0 || m.conf.Random == nil {
		return 0
	}
	return m.conf.Random(n)
}

// remoteLost: the stream to a server broke; if it was the last one to the far
// end of this connector, look at once.
func (m *Machine) remoteLost(l *link, server GUID, now time.Time) {
	if !slices.Contains(l.info.Remote, server) || slices.ContainsFunc(l.info.Remote, m.connected) {
		return
	}
	l.broken = true
	if !l.down {
		m.probe(l)
	}
}

// remoteReached: gossip works again, so perhaps mail does.
func (m *Machine) remoteReached(l *link, server GUID, now time.Time) {
	if !slices.Contains(l.info.Remote, server) {
		return
	}
	l.broken = false
	if l.down || l.fails > 0 {
		m.probe(l)
	}
}

func (m *Machine) connected(server GUID) bool {
	p := m.peer(server)
	return p != nil && p.connected
}
