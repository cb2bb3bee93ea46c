package linkstate

import (
	"slices"
	"time"
)

// Config of a machine; it does not change.
type Config struct {
	Self GUID
	// Incarnation of this run: seconds of the wall clock at the start, so that it
	// is higher than any of an earlier run even if the disk was lost. It is raised
	// above whatever Restore brings.
	Incarnation uint64
	// Version of the software, shown to everyone.
	Version string
	// Random gives a number in [0, n).
	Random func(n int) int
}

// Machine is one server's part in link state. Every method but the readers is
// an input and returns what has to be done now. It is not safe for concurrent
// use; the tables it gives out are.
//
// Order of inputs: New, Restore if there is something to restore, Configure,
// then any. Time may stand still between inputs but does not go back.
type Machine struct {
	conf    Config
	timings Timings

	table  *Table
	groups map[GUID]GUID // server -> group, for every server of which news can come
	peers  []*peer       // neighbours wanted, sorted
	wards  []*ward       // other groups of several servers with neighbours in them, sorted
	links  []*link       // connectors of which self is a bridgehead, sorted
	drain  Drain
	// waiting connectors, configured or not.
	waiting []GUID
	// sequence of the last own record. It goes on over incarnations, and over a
	// time in which the directory did not have this server.
	sequence uint64

	nextAntiEntropy time.Time
	postponed       int       // times in a row
	moved           time.Time // last change of the table
	ticked          time.Time // last Tick
	woke            time.Time // last Tick that came much too late

	// Of the current step, emptied by flush.
	out              []Effect
	changed, persist bool
	// unseen: the table was made in this step and is not shared yet. A frame of many
	// records then costs one copy of the table, not one for each.
	unseen bool
}

// New gives a machine that knows nobody but itself.
func New(c Config) *Machine {
	return &Machine{conf: c, timings: Timings{}.withDefaults(), table: &Table{}}
}

// Table is the snapshot after the last input.
func (m *Machine) Table() *Table { return m.table }

// Incarnation of the own record, to be exceeded by the next run.
func (m *Machine) Incarnation() uint64 { return m.conf.Incarnation }

// TickInterval is how often Tick has to be called for the timings to hold:
// within a quarter of the shortest.
func (m *Machine) TickInterval() time.Duration {
	least := min(m.timings.Keepalive, m.timings.SuspectAfter, m.timings.RefuteWithin, m.timings.AntiEntropy)
	for _, l := range m.links {
		least = min(least, l.info.Detection.GlitchInterval, l.info.Detection.ProbeInterval)
		if idle := l.info.Detection.IdleProbe; idle > 0 {
			least = min(least, idle)
		}
	}
	return min(max(least/4, time.Millisecond), time.Second)
}

// Restore fills the table with what was known age ago. Records of a table that
// is already there win if they are newer.
func (m *Machine) Restore(records []*Record, age time.Duration, now time.Time) []Effect {
	for _, r := range records {
		if !r.Valid() {
			continue
		}
		if r.Server == m.conf.Self {
			m.restoreOwn(r, now)
		}
		if cur := m.table.Get(r.Server); cur == nil || Compare(r, cur) > 0 {
			m.enter(r, now.Add(-age))
		}
	}
	return m.flush()
}

// restoreOwn keeps what the last run knew of its connectors: a link that was
// down yesterday is down until a probe says otherwise.
func (m *Machine) restoreOwn(r *Record, now time.Time) {
	m.conf.Incarnation = max(m.conf.Incarnation, r.Incarnation+1)
	for _, c := range r.Connectors {
		if c.Down {
			l := newLink(ConnectorInfo{GUID: c.Connector}, now)
			l.works, l.down, l.since, l.reason = false, true, c.Since, c.Reason
			if c.SuppressedUntil != 0 {
				// By the process's own clock, if now has it: that cannot be set.
				l.flaps.until = now.Add(time.UnixMilli(c.SuppressedUntil).Sub(now))
				l.flaps.tell()
			}
			m.links = append(m.links, l) // sorted, as the record is
		}
	}
}

// SetDrain publishes how far this server withdraws.
func (m *Machine) SetDrain(d Drain, now time.Time) []Effect {
	m.drain = d
	m.publish(now)
	return m.flush()
}

// Tick lets time pass.
func (m *Machine) Tick(now time.Time) []Effect {
	m.wake(now)
	for _, p := range m.peers {
		m.tickPeer(p, now)
	}
	for _, w := range m.wards {
		m.tickWard(w, now)
	}
	for _, l := range m.links {
		m.tickLink(l, now)
	}
	m.antiEntropy(now)
	return m.flush()
}

// publish makes the own record say what is true now; a record that would say
// the same as before is not made.
func (m *Machine) publish(now time.Time) {
	if _, exists := m.groups[m.conf.Self]; !exists {
		return // the directory does not know this server (yet); others would drop its record
	}
	own := m.table.Get(m.conf.Self)
	next := &Record{
		Server: m.conf.Self, Incarnation: m.conf.Incarnation, Sequence: m.sequence + 1, Status: Alive,
		Drain: m.drain, Version: m.conf.Version, Since: now.UnixMilli(),
	}
	for _, l := range m.links {
		next.Connectors = append(next.Connectors, l.state())
	}
	if own != nil && own.Incarnation == next.Incarnation && sameStatement(own, next) {
		return
	}
	m.sequence++
	m.put(next, now)
	m.flood(next, m.conf.Self)
}

// sameStatement compares what two own records of one incarnation say, not when.
func sameStatement(a, b *Record) bool {
	return a.Status == b.Status && a.Drain == b.Drain && a.Version == b.Version &&
		slices.EqualFunc(a.Connectors, b.Connectors, func(x, y ConnectorState) bool {
			return x.equal(&y)
		})
}

func (m *Machine) put(r *Record, now time.Time) {
	m.enter(r, now)
	m.persist = true
}

// enter puts a record into the table.
func (m *Machine) enter(r *Record, at time.Time) {
	if m.unseen {
		m.table.set(r, at)
	} else {
		m.table, m.unseen = m.table.with(r, at), true
	}
	if at.After(m.moved) {
		m.moved = at
	}
	m.changed = true
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// flush ends a step: records gathered for each peer leave in frames, and what
// happened is told once however often it happened.
func (m *Machine) flush() []Effect {
	for _, p := range m.peers {
		if len(p.wants) > 0 {
			m.emit(Send{p.server, &Want{slices.Clone(p.wants)}})
			p.wants = p.wants[:0]
		}
	}
	for _, p := range m.peers {
		if len(p.pending) == 0 {
			continue
		}
		for part := range slices.Chunk(p.pending, RecordsPerFrame) {
			f := &Records{}
			for _, r := range part {
				p.update(f, m.table.row(r.Server)) // which is r, or newer
			}
			m.emit(Send{p.server, f})
		}
		p.pending = p.pending[:0]
	}
	if m.changed {
		m.emit(Changed{})
	}
	if m.persist {
		m.emit(Persist{})
	}
	out := m.out
	m.out, m.changed, m.persist, m.unseen = nil, false, false, false
	return out
}
