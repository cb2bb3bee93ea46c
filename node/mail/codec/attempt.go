package codec

import (
	"fmt"
	"math"
	"time"

	"github.com/postroad/postroad/node/mail"
	spoolv1 "github.com/postroad/postroad/proto/postroad/spool/v1"
)

// Attempt is what the spool keeps of one recipient's last deferred delivery, so
// that the retry clock and `queue list` survive a restart.
type Attempt struct {
	Attempts      int // made so far; at least 1
	Last          time.Time
	Status        mail.Status // zero: the peer gave none
	Text          string
	Remote        string // host that gave the reply
	DelayReported bool   // the sender has had the delay notice
}

// EncodeAttempt is the spool's form of an attempt. Last keeps microseconds.
func EncodeAttempt(a Attempt) []byte {
	return marshal(&spoolv1.Attempt{
		Attempts:      uint32(max(a.Attempts, 0)),
		LastUnixUs:    micros(a.Last),
		Status:        a.Status.String(),
		Text:          text(a.Text),
		Remote:        text(a.Remote),
		DelayReported: a.DelayReported,
	})
}

// DecodeAttempt reads what EncodeAttempt writes; Last comes back in UTC.
func DecodeAttempt(b []byte) (Attempt, error) {
	var p spoolv1.Attempt
	if err := unmarshal(b, &p); err != nil {
		return Attempt{}, fmt.Errorf("attempt: %w", err)
	}
	a := Attempt{
		Attempts:      int(p.GetAttempts()),
		Last:          fromMicros(p.GetLastUnixUs()),
		Text:          p.GetText(),
		Remote:        p.GetRemote(),
		DelayReported: p.GetDelayReported(),
	}
	if p.GetAttempts() > math.MaxInt32 {
		return Attempt{}, fmt.Errorf("attempt: %w", corrupt("attempts", "is out of range"))
	}
	if s := p.GetStatus(); s != "" {
		var ok bool
		if a.Status, ok = mail.ParseStatus(s); !ok {
			return Attempt{}, fmt.Errorf("attempt: %w", corrupt("status", fmt.Sprintf("%q is not of the form 4.4.1", s)))
		}
	}
	return a, nil
}
