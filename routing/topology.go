package routing

// GUID names a server, group or connector; it never changes.
type GUID [16]byte

// IsZero says whether the GUID names nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// Topology is the map with the state of its links, as one server sees it. Build
// keeps a reference: it must not be changed afterwards.
type Topology struct {
	// Version is the caller's count of topologies; decisions are logged with it.
	Version uint64
	// Self is the server that decides.
	Self GUID
	// Direct lets this server send external SMTP mail by itself where no
	// connector with the pattern "*" is in scope.
	Direct     bool
	Groups     []Group
	Servers    []Server
	Connectors []Connector
}

// Group is a routing group: servers that reach each other directly.
type Group struct {
	GUID GUID
	Name string
}

// Server is one node.
type Server struct {
	GUID  GUID
	Name  string
	Group GUID
	// Up is false once the server was declared down; Reason says by whom and why.
	Up     bool
	Reason string
	Drain  Drain
	// Unheard: up as far as anybody knows, but nobody has heard of it yet. Among the
	// bridgeheads of a connector it stands behind those that are known to live; which
	// path is cheapest does not depend on it.
	Unheard bool
}

// Drain says how far mail is kept away from a server or connector.
type Drain uint8

// Drain modes.
const (
	DrainNone Drain = iota
	DrainSoft       // used only if nothing else is left
	// DrainHard: not used; a server still sends what it holds, and so does a
	// bridgehead of a drained connector if it has no other way.
	DrainHard
)

// ConnectorKind tells what a connector leads to.
type ConnectorKind uint8

// Connector kinds.
const (
	RoutingGroupConnector ConnectorKind = iota // to the bridgeheads of one other group
	SMTPConnector                              // outside by SMTP; also to groups behind a smart host
	ForeignConnector                           // to a gateway
)

// String is the kind's name in the directory.
func (k ConnectorKind) String() string {
	switch k {
	case SMTPConnector:
		return "SMTPConnector"
	case ForeignConnector:
		return "ForeignConnector"
	}
	return "RoutingGroupConnector"
}

// Scope says which servers may choose a connector.
type Scope uint8

// Scopes.
const (
	ScopeOrganization Scope = iota
	ScopeGroup              // only servers of the connector's own group
)

// OnLinkDown says what becomes of mail for a connector that is down.
type OnLinkDown uint8

// What to do when a link is down.
const (
	Reroute OnLinkDown = iota
	Hold               // the way stays chosen; mail waits at the point of failure
)

// Priorities is a set of message priorities; the zero value allows all.
type Priorities uint8

// Members of Priorities.
const (
	AllowLow Priorities = 1 << iota
	AllowNormal
	AllowHigh
)

// Connector is a one-way link out of a group.
type Connector struct {
	GUID GUID
	Name string
	Kind ConnectorKind
	// Group is the source: the group of its bridgeheads.
	Group GUID
	// Targets are the groups it leads to: one for a routing group connector, any
	// number for an SMTP connector, none for a foreign one.
	Targets       []Edge
	AddressSpaces []AddressSpace
	Scope         Scope
	// MaxSize in octets; 0: no limit.
	MaxSize    int64
	Priorities Priorities
	NoSystem   bool
	NoUser     bool
	// Accept has the senders whose mail it takes, sorted; empty: everyone's.
	// Reject has those whose mail it does not take in any case, sorted.
	Accept, Reject []SenderID
	OnLinkDown     OnLinkDown
	// Fallback lets mail use a less specific connector while this one is down.
	Fallback bool
	Disabled bool
	Drain    Drain
	Spread   Spread
	// Weight is its share among equally cheap connectors, see [Score].
	Weight int
	// Weights are the shares of bridgeheads, local and remote; missing: 1.
	Weights map[GUID]int
	// Bridgeheads are the servers of Group that may send over it.
	Bridgeheads []Bridgehead
	// Remote are the servers of the target group that receive; only routing
	// group connectors have them.
	Remote []GUID
}

// Edge leads to a group. Cost is 1 to 100; less counts as 1, more than
// [MaxCost] as MaxCost.
type Edge struct {
	Group GUID
	Cost  int
}

// MaxCost is the largest cost of an edge or address space that is told apart
// from larger ones.
const MaxCost = 4095

// AddressSpace is a set of addresses that a connector serves, at a cost like
// that of an [Edge]. For SMTP the pattern is matched against the domain:
// "example.com", "*.example.com" (what is below, not example.com itself), "*".
// It is read from the right up to its first wildcard, so "abc.*.example.com"
// equals "*.example.com". For other types a pattern that ends with "*" matches
// the beginning of the address. Letter case does not matter.
type AddressSpace struct {
	Type    string
	Pattern string
	Cost    int
}

// Bridgehead is a server that may send over a connector, with what it says of
// the link.
type Bridgehead struct {
	Server GUID
	Up     bool
	Reason string
	// SinceMS is when the state began, in Unix milliseconds; 0: not known.
	SinceMS int64
	// Damped: not up because the link flapped, though it may work. It counts as a
	// drained one: used only if nothing else is left, for mail that waits where
	// it could move would be worse than another failed attempt.
	Damped bool
}
