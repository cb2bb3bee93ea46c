package mail

import (
	"fmt"
	"strconv"
	"strings"
)

// Status is an enhanced status code (RFC 3463 section 2): class 2, 4 or 5,
// subject and detail each 0..999. The zero value means "no code known".
type Status struct{ Class, Subject, Detail uint16 }

// The statuses that Postroad itself decides on; the book's table 2 of chapter 7
// tells an administrator what each means.
var (
	StatusOK             = Status{2, 0, 0}
	StatusDelivered      = Status{2, 1, 5}
	StatusBadAddress     = Status{5, 1, 0}
	StatusUnknownUser    = Status{5, 1, 1}
	StatusBadDomain      = Status{5, 1, 2}
	StatusBadSyntax      = Status{5, 1, 3}
	StatusAmbiguous      = Status{5, 1, 4}
	StatusMoved          = Status{5, 1, 6}
	StatusBadSender      = Status{5, 1, 7}
	StatusNullMX         = Status{5, 1, 10}
	StatusNotTaken       = Status{4, 2, 1}
	StatusMailboxFull    = Status{5, 2, 2}
	StatusTooLarge       = Status{5, 2, 3}
	StatusSystemFull     = Status{4, 3, 1}
	StatusNotAccepting   = Status{4, 3, 2}
	StatusLoopsToSelf    = Status{5, 3, 5}
	StatusNotCapable     = Status{5, 3, 3}
	StatusNetwork        = Status{5, 4, 0}
	StatusNoAnswer       = Status{4, 4, 1}
	StatusDropped        = Status{4, 4, 2}
	StatusDirectory      = Status{4, 4, 3}
	StatusHopCount       = Status{4, 4, 6}
	StatusExpired        = Status{4, 4, 7}
	StatusDeliverBy      = Status{5, 4, 7} // RFC 2852 section 4.1.4
	StatusNoRoute        = Status{5, 4, 4}
	StatusForwardingLoop = Status{5, 4, 6}
	StatusServerName     = Status{5, 4, 8}
	StatusProtocol       = Status{5, 5, 0}
	StatusTooMany        = Status{5, 5, 3}
	StatusNoPermission   = Status{5, 7, 1}
	StatusSenderNullMX   = Status{5, 7, 27} // RFC 7505 section 4.2
)

// IsZero says whether no code is known.
func (s Status) IsZero() bool { return s == Status{} }

// String is the dotted form, such as "5.1.1"; empty for the zero value.
func (s Status) String() string {
	if s.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", s.Class, s.Subject, s.Detail)
}

// ParseStatus reads the dotted form (RFC 3463 section 2): no leading zeros, a
// class of 2, 4 or 5, at most three digits in the other parts.
func ParseStatus(text string) (Status, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Status{}, false
	}
	var n [3]uint16
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil || v > 999 || len(p) > 1 && p[0] == '0' || p[0] == '+' {
			return Status{}, false
		}
		n[i] = uint16(v)
	}
	if n[0] != 2 && n[0] != 4 && n[0] != 5 {
		return Status{}, false
	}
	return Status{n[0], n[1], n[2]}, true
}

// Reply is one SMTP reply (RFC 5321 section 4.2): a code, the enhanced status
// where one belongs, and one or more lines of text without CR or LF.
type Reply struct {
	Code   int
	Status Status
	Lines  []string
}

// Text is all lines joined by a blank.
func (r Reply) Text() string { return strings.Join(r.Lines, " ") }

// String is the reply as one line, as written into logs and reports.
func (r Reply) String() string {
	s := strconv.Itoa(r.Code)
	if !r.Status.IsZero() {
		s += " " + r.Status.String()
	}
	if t := r.Text(); t != "" {
		s += " " + t
	}
	return s
}

// ParseReply reads what Reply.String writes, as one line. ok is false for other text.
func ParseReply(s string) (r Reply, ok bool) {
	code, rest, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 200 || n > 599 {
		return Reply{}, false
	}
	r.Code = n
	if word, after, _ := strings.Cut(rest, " "); word != "" {
		if status, ok := ParseStatus(word); ok && int(status.Class) == n/100 {
			r.Status, rest = status, after
		}
	}
	if rest != "" {
		r.Lines = []string{rest}
	}
	return r, true
}
