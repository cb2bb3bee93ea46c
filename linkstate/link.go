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
// A link that flaps is damped: see [Damping]. While it is suppressed it is watched
// and probed like any other, and what it does is counted, but the organisation is
// told nothing more: the link stays down, and is probed when the suppression ends.
//
// A failure while the gossip stream to the remote bridgehead is broken needs no
// retries: two independent signs that the far end is gone.
//
// A connector that waits, for its schedule to open or for the far end to call, is
// what it was when the waiting began. Nobody tries it, so nothing can fail; and it
// is not probed either, as that would be the very call that must not be made,
// unless Detection.IdleProbe says that it may.
type link struct {
	info ConnectorInfo

	down   bool // what the organisation is told
	since  int64
	reason string

	works   bool      // what connections say; more than down only while suppressed
	fails   int       // failures in a row that count, while it works
	counted time.Time // the last of them
	used    time.Time // the last result, or when the wait for one began
	next    time.Time // next probe; zero: none is due
	probing bool      // a probe is out, its result not yet in
	broken  bool      // gossip with the remote end was lost, and no connection has worked since
	waiting bool
	flaps   flaps
}

func newLink(c ConnectorInfo, now time.Time) *link {
	return &link{info: c, works: true, since: now.UnixMilli(), used: now}
}

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
	l.works, l.used = true, now
	switch {
	case l.down && l.flaps.suppressed(now):
		l.next = now.Add(min(l.info.Detection.ProbeInterval, l.flaps.until.Sub(now)))
	case l.down:
		l.rise(now)
	}
}

func (l *link) rise(now time.Time) {
	l.works, l.down, l.since, l.reason = true, false, now.UnixMilli(), ""
	l.flaps.free()
}

func (l *link) fail(reason string, now time.Time) {
	d := l.info.Detection
	l.used = now
	switch {
	case d.SuppressStateChanges:
		return
	case !l.works:
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
	if !l.broken && l.fails <= d.GlitchRetries {
		l.next = now.Add(d.GlitchInterval)
		return
	}
	l.fails, l.works = 0, false
	l.next = now.Add(d.ProbeInterval)
	l.flaps.note(d.Damping, now)
	if !l.down {
		l.down, l.since, l.reason = true, now.UnixMilli(), brief(reason)
		l.flaps.tell()
	}
}

func (m *Machine) tickLink(l *link, now time.Time) {
	if l.down && l.flaps.overdue(now) {
		l.flaps.tell()
		m.publish(now)
	}
	if !l.due(now) {
		return
	}
	// Spread by a tenth, so that probes of many bridgeheads do not march in step.
	tenth := int(l.info.Detection.ProbeInterval / 10)
	l.next = now.Add(l.info.Detection.ProbeInterval + time.Duration(m.random(tenth)))
	m.probe(l)
}

// due says whether it is time for a probe.
func (l *link) due(now time.Time) bool {
	idle := l.info.Detection.IdleProbe
	switch {
	case l.probing, l.info.Detection.SuppressStateChanges:
		return false
	case !l.next.IsZero():
		return !now.Before(l.next)
	}
	return idle > 0 && now.Sub(l.used) >= idle
}

// probe looks at the link now, if it may be looked at.
func (m *Machine) probe(l *link) {
	if l.probing || l.waiting && l.info.Detection.IdleProbe <= 0 {
		return
	}
	l.probing = true
	m.emit(Probe{l.info.GUID, l.only()})
}

// SetWaiting names the connectors that wait now; all others are open. A link that
// was down when its waiting began is probed when it ends.
func (m *Machine) SetWaiting(connectors []GUID, now time.Time) []Effect {
	m.waiting = slices.Clone(connectors)
	for _, l := range m.links {
		m.setWaiting(l, now)
	}
	return m.flush()
}

func (m *Machine) setWaiting(l *link, now time.Time) {
	waited := l.waiting
	l.waiting = slices.Contains(m.waiting, l.info.GUID)
	if l.waiting == waited {
		return
	}
	l.used = now // a link that could not be used was not idle
	if !l.waiting && !l.works {
		l.next = now
	}
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
	if l.works {
		m.probe(l)
	}
}

// remoteReached: gossip works again, so perhaps mail does.
func (m *Machine) remoteReached(l *link, server GUID, now time.Time) {
	if !slices.Contains(l.info.Remote, server) {
		return
	}
	l.broken = false
	if !l.works || l.fails > 0 {
		m.probe(l)
	}
}

func (m *Machine) connected(server GUID) bool {
	p := m.peer(server)
	return p != nil && p.connected
}
