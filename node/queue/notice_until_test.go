package queue

import (
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// When a message is given up, as its sender is told with the delay.
func TestUntil(t *testing.T) {
	created := time.Date(2001, 5, 1, 12, 0, 0, 0, time.UTC)
	in := created.Add
	clock := Clock{Expiration: 48 * time.Hour, LocalExpiration: 24 * time.Hour}
	for name, c := range map[string]struct {
		env  mail.Envelope
		box  bool // for a mailbox here
		want time.Time
	}{
		"outside": {mail.Envelope{}, false, in(48 * time.Hour)},
		"mailbox": {mail.Envelope{}, true, in(24 * time.Hour)},
		"held":    {mail.Envelope{HoldUntil: in(100 * time.Hour)}, false, in(148 * time.Hour)},
		"return":  {mail.Envelope{DeliverBy: mail.DeliverBy{Deadline: in(time.Hour), Return: true}}, false, in(time.Hour)},
		"notify":  {mail.Envelope{DeliverBy: mail.DeliverBy{Deadline: in(time.Hour)}}, false, in(48 * time.Hour)},
	} {
		c.env.Created = created
		if got := until(&c.env, clock.Of(mail.PriorityNormal, c.box)); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
