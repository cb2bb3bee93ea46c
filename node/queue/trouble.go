package queue

import (
	"time"

	"github.com/postroad/postroad/node/mail"
)

// statusCongested is RFC 3463 X.4.5: nothing is wrong but that too much wants to go first.
var statusCongested = mail.Status{Class: 4, Subject: 4, Detail: 5}

// stoppedText is all that senders are told of an administrator's order: who gave it, and
// why, was noted for those who run the server.
const stoppedText = "stopped by an administrator"

// trouble is why a queue does not move, for the senders of mail in it of which nothing
// better is known.
type trouble struct {
	status mail.Status
	text   string
	tried  int64 // when its next hop was last tried, Unix ms; 0: never, or it is not known
	note   *Note // of who stopped it, nil if nobody did
}

func (s *Scheduler) trouble(q *queue, now int64) trouble {
	l := q.link
	if note, frozen := s.stop(q); frozen {
		return trouble{status: mail.StatusNotAccepting, text: stoppedText, note: &note} // the book, table 2
	}
	t := trouble{status: statusCongested, tried: l.lastTry}
	switch {
	case q.hop.Kind == mail.HopUnreachable:
		t.status, t.text = mail.StatusNoAnswer, q.hop.Reason
		if !q.hop.Status.IsZero() {
			t.status = q.hop.Status // no path, or a loop
		}
	case l.lastErr != "":
		t.status, t.text = mail.StatusNoAnswer, l.lastErr
	case q.key.Held:
		t.status, t.text = mail.StatusNotAccepting, "held until the time that its sender asked for"
	case l.shut(now):
		t.status, t.text = mail.StatusNotAccepting, l.shutText(now)
	case l.waits != nil:
		t.text = "no connection is free: " + s.taken(l)
	case q.lastErr != "":
		t.text = "messages before it were put off: " + q.lastErr
	default:
		t.text = "its turn has not come: other mail wants the same next hop"
	}
	return t
}

// shutText says to those who cannot open it why a link is shut.
func (l *link) shutText(now int64) string {
	if l.hop.Options.Remote {
		return "the other side has not asked for its mail, which waits for that"
	}
	opens, ok := l.hop.Options.Timetable.Next(time.UnixMilli(now), true)
	if !ok {
		return l.opening(now).what + " is never open"
	}
	return l.opening(now).what + " is shut until " + clockTime(opens.UnixMilli())
}
