package queue

import (
	"fmt"
	"math"
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
		name: q.name, ID: queueID(q.name), Kind: kindOf(q.key.Destination, q.hop), opening: l.opening(now), retries: s.sender(q.hop).Clock.retries(q.rush), more: q.more, Destination: q.key.Destination,
		NextHop: q.hop.Name, Connector: q.hop.ConnectorName, VirtualServer: q.hop.VirtualServerName,
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
		s.explainShut(l, i, head, now)
	case l.next > now && l.verdict == nil:
		i.WaitingFor = fmt.Sprintf("%s at %s: %s", l.phase(), clockTime(l.next), l.lastErr)
		i.retry(max(head, l.next))
	case head > now:
		// Nothing is left but messages that the next hop deferred one by one.
		i.WaitingFor = fmt.Sprintf("retry of deferred messages at %s", clockTime(head))
		if q.lastErr != "" {
			i.WaitingFor += ": " + q.lastErr
		}
		i.retry(head)
	case len(l.conns) > 0:
		i.State = Active
	case l.waits != nil:
		i.WaitingFor = "a free connection: " + s.taken(l)
	}
}

// ofSender names whose limit it is.
func (l *link) ofSender() string {
	if l.hop.VirtualServerName == "" {
		return ""
	}
	return " of virtual server " + l.hop.VirtualServerName
}

// retry is the state of mail that is tried again, or would be if its connector were
// open then.
func (i *Info) retry(due int64) {
	i.State = Retry
	at, ok := i.opening.chance(due)
	if ok {
		i.NextAttempt = when(at)
	}
	switch {
	case ok && at == due:
	case ok:
		i.WaitingFor += fmt.Sprintf("; %s is shut then and opens at %s", i.opening.what, clockTime(at))
	case i.opening.remote:
		i.WaitingFor += "; it has to be asked for again then"
	default:
		i.WaitingFor += fmt.Sprintf("; %s is never open", i.opening.what)
	}
}

// explainShut says when a link opens that is shut by its connector, and, if that is
// later, when something is due.
func (s *Scheduler) explainShut(l *link, i *Info, head, now int64) {
	o := &l.hop.Options
	if o.Remote {
		i.State = Remote
		i.WaitingFor = "the other side to ask for its mail (ETRN, ATRN or TURN), or `queue retry`"
		return
	}
	i.State = Scheduled
	opens, ok := o.Timetable.Next(time.UnixMilli(now), true)
	if !ok {
		i.WaitingFor = i.opening.what + ", which is never open; `queue retry` sends it all the same"
		return
	}
	at, _ := i.opening.chance(max(head, l.next))
	i.NextAttempt = when(at)
	i.WaitingFor = i.opening.what + ", which opens at " + clockTime(opens.UnixMilli())
	switch {
	case l.next > opens.UnixMilli():
		i.WaitingFor += fmt.Sprintf("; %s at %s", l.phase(), clockTime(at))
	case head > opens.UnixMilli():
		i.WaitingFor += "; retry of deferred messages at " + clockTime(at)
	}
}

// opening is what must be known of a link to say when its mail leaves.
type opening struct {
	timetable *mail.Timetable
	remote    bool
	next      int64 // no connection before (Unix ms)
	forced    int64 // open until then, whatever the timetable says
	what      string
}

func (l *link) opening(now int64) opening {
	o := opening{timetable: l.hop.Options.Timetable, remote: l.hop.Options.Remote, next: max(l.next, now), forced: l.forced}
	if l.forced != 0 && len(l.conns) > 0 {
		o.forced = math.MaxInt64 // until they are closed
	}
	if o.timetable != nil {
		o.what = fmt.Sprintf("schedule %s of connector %s", o.timetable.Name, l.hop.ConnectorName)
	}
	return o
}

// chance is when what is due then leaves, at the earliest (Unix ms); ok is false if no
// clock tells.
func (o opening) chance(due int64) (at int64, ok bool) {
	at = max(due, o.next)
	switch {
	case at < o.forced:
		return at, true
	case o.remote:
		return 0, false
	case o.timetable.IsOpen(time.UnixMilli(at)):
		return at, true
	}
	opens, ok := o.timetable.Next(time.UnixMilli(at), true)
	return opens.UnixMilli(), ok
}

// local says whether a hop is the mailboxes of this server, wherever they are kept.
func local(h mail.Hop) bool {
	return h.Kind == mail.HopLocal || h.Kind == mail.HopLMTP && h.Connector.IsZero()
}

// kindOf is a queue's kind by its destination and by where it leads at the moment.
func kindOf(d mail.Destination, h mail.Hop) string {
	other := d.Place == mail.PlaceForeign && d.Type != "SMTP" && d.Type != "" && !d.Unresolved()
	switch {
	case h.Kind == mail.HopHeld:
		return KindDeferred
	case local(h):
		return KindLocal
	case h.Kind == mail.HopUnreachable && other:
		return KindReroute
	case h.Kind == mail.HopUnreachable:
		return KindUnreachable
	case other:
		return KindNextHop
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
