package queue

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// List describes the queues the scheduler has, by name. Messages counts what is
// in memory.
func (s *Scheduler) List(now int64) []Info {
	out := make([]Info, 0, len(s.queues))
	for _, q := range s.sorted() {
		out = append(out, s.info(q, now))
	}
	return out
}

func (s *Scheduler) info(q *queue, now int64) Info {
	l := q.link
	i := Info{
		name: q.name, ID: queueID(q.name), Kind: kindOf(q.hop), Destination: q.key.Destination,
		NextHop: q.hop.Name, Connector: q.hop.ConnectorName,
		State: Ready, Messages: int64(len(q.refs)),
		LastError: q.lastErr, Class: classText(q.key.Class), Connections: len(l.conns), Window: min(l.concurrency.window, s.perLink(l)),
		LastAttempt: when(l.lastTry), LastHost: l.lastHost, Remote: remote(q.hop),
	}
	if oldest := q.since(); oldest != 0 {
		i.OldestAge = time.Duration(max(now-oldest, 0)) * time.Millisecond
	}
	if l.lastErr != "" {
		i.LastError = l.lastErr
	}
	s.explain(q, &i, now)
	return i
}

// explain fills in state, next attempt and the sentence about the wait.
func (s *Scheduler) explain(q *queue, i *Info, now int64) {
	l := q.link
	head := int64(0)
	if q.win.len() > 0 {
		head = q.win.front().at
	}
	switch {
	case s.closed:
		i.WaitingFor = "the server is stopping"
	case s.frozen(q):
		s.explainFrozen(q, i)
	case q.hop.Kind == mail.HopUnreachable:
		i.WaitingFor = "a path to the destination"
		if q.hop.Reason != "" {
			i.WaitingFor += ": " + q.hop.Reason
		}
	case q.key.Held:
		i.State, i.NextAttempt = Scheduled, when(head)
		i.WaitingFor = "the time that its sender asked for"
		if head != 0 {
			i.WaitingFor += "; the first at " + clockTime(head)
		}
	case l.shut(now):
		s.explainShut(l, i, now)
	case l.next > now && l.verdict == nil:
		i.State, i.NextAttempt = Retry, when(l.next)
		i.WaitingFor = fmt.Sprintf("%s at %s: %s", s.phase(l), clockTime(l.next), l.lastErr)
	case head > now:
		// Nothing is left but messages that the next hop deferred one by one.
		i.State, i.NextAttempt = Retry, when(head)
		i.WaitingFor = fmt.Sprintf("retry of deferred messages at %s", clockTime(head))
		if q.lastErr != "" {
			i.WaitingFor += ": " + q.lastErr
		}
	case len(l.conns) > 0:
		i.State = Active
	case l.starved:
		i.WaitingFor = fmt.Sprintf("a free connection: all %d are in use", s.limits.Connections)
	}
}

// explainShut says when a link opens that is shut by its connector.
func (s *Scheduler) explainShut(l *link, i *Info, now int64) {
	o := &l.hop.Options
	if o.Remote {
		i.State = Remote
		i.WaitingFor = "the other side to ask for its mail (ETRN, ATRN or TURN), or `queue retry`"
		return
	}
	i.State = Scheduled
	what := fmt.Sprintf("schedule %s of connector %s", o.Timetable.Name, l.hop.ConnectorName)
	if at, ok := o.Timetable.Next(time.UnixMilli(now), true); ok {
		at := max(at.UnixMilli(), l.next)
		i.NextAttempt = when(at)
		i.WaitingFor = what + ", which opens at " + clockTime(at)
		return
	}
	i.WaitingFor = what + ", which is never open; `queue retry` sends it all the same"
}

// kindOf is a queue's kind by where it leads at the moment.
func kindOf(h mail.Hop) string {
	switch {
	case h.Kind == mail.HopUnreachable:
		return KindUnreachable
	case h.Kind == mail.HopHeld:
		return KindDeferred
	case h.Kind == mail.HopLocal, h.Kind == mail.HopLMTP && h.Connector.IsZero():
		return KindLocal // mailboxes of this server, wherever they are kept
	}
	return KindRemote
}

// when is a time of the scheduler for a reader; 0 is none.
func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func clockTime(ms int64) string { return when(ms).Format("2006-01-02 15:04:05Z") }

// nameOf finds a queue by the ID an operator knows; "" if there is none.
func (s *Scheduler) nameOf(id string) string {
	for name, q := range s.queues {
		if queueID(name) == id || id == IDLocal && kindOf(q.hop) == KindLocal || id == IDUnreachable && kindOf(q.hop) == KindUnreachable || id == IDDeferred && kindOf(q.hop) == KindDeferred {
			return name
		}
	}
	return ""
}
