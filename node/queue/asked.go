package queue

import (
	"maps"
	"slices"
	"strconv"

	"github.com/postroad/postroad/node/mail"
)

// Mail of a remote-triggered connector is asked for by domain, and one host takes
// that of many domains. So a queue that was asked for leaves the link of its hop,
// which is shut, for one of its own kind that is open: with all that the same
// question was about, and with nothing else. When the last connection of that link
// has ended its queues go back, and wait with the others to be asked for again.

// askedByName is who asked by ETRN: this node connects (RFC 1985).
const askedByName = "etrn"

// askedOver is who asked by ATRN or TURN: the mail goes over that connection alone.
func askedOver(c ConnID) string { return strconv.FormatUint(uint64(c), 10) }

// askedOf says whether the queue goes to the hop because somebody asked.
func (q *queue) askedOf(hop mail.Hop) bool { return q.asked != "" && hop.Options.Remote }

// linkKey is the key of the queue's link if it goes to the hop.
func (q *queue) linkKey(hop mail.Hop) string {
	if q.askedOf(hop) {
		return hop.Key() + "|asked " + q.asked
	}
	return hop.Key()
}

// Trigger opens the links of the queues that match, as the other side asks for its
// mail (RFC 1985), and returns their names.
func (s *Scheduler) Trigger(match func(Key, mail.Hop) bool, now int64) (names []string) {
	// What was asked for earlier, and found no free connection in all its time, is not
	// what is asked for now.
	for _, k := range slices.Sorted(maps.Keys(s.links)) {
		if l := s.links[k]; l != nil && l.asked && len(l.conns) == 0 && l.forced <= now {
			s.unask(l, now)
		}
	}
	var found []*queue
	for _, q := range s.sorted() {
		if q.key.Held || s.frozen(q) || !match(q.key, q.hop) {
			continue
		}
		found, names = append(found, q), append(names, q.name)
		q.asked = askedByName
		s.route(q, q.hop, now)
		q.link.forced, q.link.next = now+forcedFor, 0
		s.timers.set(&q.link.timer, 0)
		s.hurry(q, now)
	}
	for _, q := range found {
		s.poke(q, now)
	}
	return names
}

// unask has the queues of a link that was open because somebody asked wait again.
func (s *Scheduler) unask(l *link, now int64) {
	if !l.asked {
		return
	}
	for _, q := range s.sorted() {
		if q.link != l {
			continue
		}
		q.asked = ""
		s.route(q, q.hop, now)
		// What is known of the host goes with them.
		to := q.link
		to.lastErr, to.lastTry, to.lastHost = l.lastErr, max(to.lastTry, l.lastTry), l.lastHost
	}
}
