package mail

import (
	"errors"
	"strings"
)

// Notify is the set of reports asked for by NOTIFY= (RFC 3461 section 4.1). The
// zero value is the default: failure and delay.
type Notify uint8

// Bits of Notify; NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// WantsFailure says whether a failure is to be reported.
func (n Notify) WantsFailure() bool { return n == 0 || n&NotifyFailure != 0 }

// WantsDelay says whether a delay is to be reported.
func (n Notify) WantsDelay() bool { return n == 0 || n&NotifyDelay != 0 }

// WantsSuccess says whether a delivery is to be reported.
func (n Notify) WantsSuccess() bool { return n&NotifySuccess != 0 }

// WithoutSuccess is what is left to report once a success has been, or will not be.
func (n Notify) WithoutSuccess() Notify {
	if !n.WantsSuccess() {
		return n
	}
	if n &^= NotifySuccess; n == 0 {
		return NotifyNever // zero would be the default
	}
	return n
}

var errNotify = errors.New("must be NEVER alone, or SUCCESS, FAILURE, DELAY, each once")

// ParseNotify reads the value of NOTIFY= (RFC 3461 section 4.1), in any case. It is
// never empty: who asks for nothing leaves the parameter out.
func ParseNotify(s string) (n Notify, err error) {
	for word := range strings.SplitSeq(s, ",") {
		bit := notifyBit(word)
		if bit == 0 || n&(bit|NotifyNever) != 0 || n != 0 && bit == NotifyNever {
			return 0, errNotify
		}
		n |= bit
	}
	return n, nil
}

func notifyBit(word string) Notify {
	for i, name := range [...]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		// Letters outside ASCII that fold to one of it have more octets.
		if len(word) == len(name) && strings.EqualFold(word, name) {
			return NotifyNever << i
		}
	}
	return 0
}
