package routing

import "slices"

// Message is what routing looks at. All messages of one queue look the same.
type Message struct {
	// Priority is below, at or above zero: low, normal, high.
	Priority int8
	System   bool
	// SizeBound is not less than the size in octets; 0: not compared with limits.
	SizeBound int64
	// Sender is what sender lists say of its sender.
	Sender SenderSet
	// Bucket spreads messages, see [Bucket]; 0: not spread, the sending server
	// counts.
	Bucket uint8
	// Connector was chosen by an earlier server and travels with the message;
	// zero: choose here.
	Connector GUID
	// Visited are the routing groups the message has been in. It is never sent
	// into one of them again; the own group may be among them.
	Visited []GUID

	anyone bool // sender lists do not count
}

// barrier is the reason why a message may not use a connector.
type barrier uint8

const (
	barNone barrier = iota
	barScope
	barSize
	barPriority
	barSystem
	barUser
	barSender
	barDisabled
	barDrained
)

// allows says whether the set has the priority of the message.
func (p Priorities) allows(priority int8) bool {
	if p == 0 {
		return true
	}
	switch {
	case priority < 0:
		return p&AllowLow != 0
	case priority > 0:
		return p&AllowHigh != 0
	}
	return p&AllowNormal != 0
}

// bars checks the connector's restrictions on what a message is, not on where
// it comes from.
func (c *Connector) bars(m *Message) barrier {
	switch {
	case c.MaxSize > 0 && m.SizeBound > c.MaxSize:
		return barSize
	case !c.Priorities.allows(m.Priority):
		return barPriority
	case c.NoSystem && m.System:
		return barSystem
	case c.NoUser && !m.System:
		return barUser
	case !m.anyone && !c.takes(m.Sender):
		return barSender
	}
	return barNone
}

// restricts says whether bars can ever say anything.
func (c *Connector) restricts() bool {
	return c.MaxSize > 0 || c.Priorities != 0 || c.NoSystem || c.NoUser || len(c.Accept)+len(c.Reject) > 0
}

// off says whether an administrator has taken the connector out of use. Its own
// bridgeheads have mail for a drained one that may not go another way: to them
// it is the last resort.
func (t *Table) off(c *Connector) barrier {
	switch {
	case c.Disabled:
		return barDisabled
	case c.Drain == DrainHard && !slices.ContainsFunc(c.Bridgeheads, func(b Bridgehead) bool { return b.Server == t.top.Self }):
		return barDrained
	}
	return barNone
}
