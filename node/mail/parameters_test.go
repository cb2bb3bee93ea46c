package mail_test

import (
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func TestDeliverByRemaining(t *testing.T) {
	at := time.Date(2001, 5, 1, 12, 0, 0, 0, time.UTC)
	by := mail.DeliverBy{Deadline: at}
	for _, c := range []struct {
		now  time.Time
		want int64
	}{
		{at.Add(-2 * time.Minute), 120},
		{at.Add(-2*time.Minute + time.Millisecond), 119}, // never more than what is left
		{at, 0},
		{at.Add(time.Millisecond), -1},
		{at.Add(-50 * 365 * 24 * time.Hour), 999_999_999}, // RFC 2852 section 4: nine digits
	} {
		if got := by.Remaining(c.now); got != c.want {
			t.Errorf("at %s: %d, want %d", c.now, got, c.want)
		}
	}
}

func TestBegins(t *testing.T) {
	created := time.Date(2001, 5, 1, 12, 0, 0, 0, time.UTC)
	e := mail.Envelope{Created: created}
	if !e.Begins().Equal(created) {
		t.Error(e.Begins())
	}
	e.HoldUntil = created.Add(72 * time.Hour)
	if !e.Begins().Equal(e.HoldUntil) {
		t.Error(e.Begins())
	}
}
