package routing

// Kind is what a decision comes to.
type Kind uint8

// Kinds of decisions.
const (
	// Unreachable: no way now; the message waits for the map to change.
	Unreachable Kind = iota
	// Local: this server is the destination.
	Local
	// ToNode: hand over to the server Next.
	ToNode
	// Outbound: this server sends over the connector Via itself.
	Outbound
	// Direct: no connector; this server sends by its virtual server.
	Direct
	// NoRoute: no connector will ever take it as the organisation is configured.
	NoRoute
	// Loop: the only way leads back into a group that the message has visited;
	// the message waits, and somebody should be told.
	Loop
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case Local:
		return "local"
	case ToNode:
		return "node"
	case Outbound:
		return "outbound"
	case Direct:
		return "direct"
	case NoRoute:
		return "no route"
	case Loop:
		return "loop"
	}
	return "unreachable"
}

// Decision says where a message goes next. Its slices are shared: read only.
type Decision struct {
	Kind Kind
	// Next is the server to hand over to (ToNode).
	Next GUID
	// NextServers are Next and the live alternatives to it, best first.
	NextServers []GUID
	// NextGroup is the group that the hop enters; zero inside the own group and
	// for hops that leave the organisation.
	NextGroup GUID
	// Connector is the connector chosen for an address outside; it travels with
	// the message. Zero for mailboxes.
	Connector GUID
	// Via is the connector that this hop crosses; zero inside a group.
	Via GUID
	// Waits is a connector without which the message cannot move (Unreachable), of
	// several the first; zero where none can be named.
	Waits GUID
	// Cost is the whole cost, path and address space.
	Cost int
	// Path is the groups from the own one to the last; only in an [Explanation].
	Path []GUID
	// TooLarge: NoRoute because of size limits alone.
	TooLarge bool
	// Forbidden: NoRoute because of sender lists alone.
	Forbidden bool
	// Spread: a message of another bucket may go another way.
	Spread bool
	// Reason says why, in words for an operator.
	Reason string
}

// Reasons of decisions that let mail move; constants, so that deciding does not
// allocate.
const (
	reasonSelf      = "the mailbox is on this server"
	reasonGroup     = "same routing group: servers of a group reach each other directly"
	reasonCross     = "first connector of the least-cost path, and this server is a bridgehead of it"
	reasonHandOver  = "a bridgehead of this group sends over the first connector of the least-cost path"
	reasonOutbound  = "this server is a bridgehead of the chosen connector"
	reasonToBridge  = "the chosen connector has its bridgeheads in this group"
	reasonDirect    = "no connector matches and none in scope serves \"*\": the virtual server sends by itself"
	reasonNoMatch   = "no connector serves the address, and this server may not send external mail without one"
	reasonOffTheMap = "this server is not in the directory, or its routing group is not"
)
