package linkstate

import "time"

// wake notices that this server itself stood still: its process was stopped, its
// host suspended or starved. Who did not listen cannot say that others were silent.
// So the time that was lost counts for nobody's silence, and a suspicion that is
// known here has all of its time to be taken back: what the neighbours sent
// meanwhile may still wait to be read.
func (m *Machine) wake(now time.Time) {
	lost := now.Sub(m.ticked)
	first := m.ticked.IsZero()
	m.ticked = now
	if first || lost < m.timings.SuspectAfter/2 { // twice the longest TickInterval
		return
	}
	m.woke = now
	m.emit(Woke{lost})
	for _, p := range m.peers {
		p.heard = earlier(p.heard.Add(lost), now)
	}
	for _, w := range m.wards {
		w.heard = earlier(w.heard.Add(lost), now)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
