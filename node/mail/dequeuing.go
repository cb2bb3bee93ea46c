package mail

// Dequeuing is a command by which a host asks for the mail that another holds for it.
type Dequeuing uint8

// Commands.
const (
	NoDequeuing Dequeuing = iota
	ETRN                  // RFC 1985
	ATRN                  // RFC 2645
	TURN                  // RFC 5321 appendix F.1
)

// String is the verb.
func (d Dequeuing) String() string {
	return [...]string{"", "ETRN", "ATRN", "TURN"}[d]
}

// Turns says whether the connection changes direction.
func (d Dequeuing) Turns() bool { return d == ATRN || d == TURN }
