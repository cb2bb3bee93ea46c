package mail

import "time"

// Remaining is the by-time to pass on (RFC 2852 section 4): whole seconds rounded
// down, within nine digits. It is 0 or less when the time is over.
func (d DeliverBy) Remaining(now time.Time) int64 {
	const most = 999_999_999
	left := d.Deadline.Sub(now)
	s := int64(left / time.Second)
	if left < 0 && left%time.Second != 0 {
		s--
	}
	return min(max(s, -most), most)
}

// Begins is when the time for delivering the message begins: its creation, or
// the end of the hold that its sender asked for.
func (e *Envelope) Begins() time.Time {
	if e.HoldUntil.After(e.Created) {
		return e.HoldUntil
	}
	return e.Created
}
