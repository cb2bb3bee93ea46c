package linkstate

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// GUID names a directory object: a server, a routing group, a connector.
type GUID [16]byte

// IsZero says whether the GUID names nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// Compare orders GUIDs by their bytes: -1, 0 or 1.
func (g GUID) Compare(o GUID) int { return bytes.Compare(g[:], o[:]) }

// String is the dashed lower-case form (RFC 9562 section 4).
func (g GUID) String() string {
	h := hex.EncodeToString(g[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Status of a server, in merge order. A value above Down comes from a newer
// version of the software and counts as down.
type Status uint8

// Statuses; zero is not one of them.
const (
	Alive Status = iota + 1
	Suspect
	Down
)

// String is the word the CLI shows.
func (s Status) String() string {
	switch {
	case s == Alive:
		return "alive"
	case s == Suspect:
		return "suspect"
	case s >= Down:
		return "down"
	}
	return "unknown"
}

// Drain says how far a server withdraws from transport.
type Drain uint8

// Drain states: none, only if nothing else is left, no new mail.
const (
	DrainNone Drain = iota
	DrainSoft
	DrainHard
)

// ConnectorState is what a bridgehead says of one of its connectors.
type ConnectorState struct {
	Connector GUID
	Down      bool
	Since     int64  // Unix milliseconds of the last change, by the bridgehead's clock
	Reason    string // why it is down, at most MaxReason bytes; empty while up
	// SuppressedUntil: the connector flapped and stays down until then even if it
	// works; Unix milliseconds by the bridgehead's clock, 0 if it may return at once.
	SuppressedUntil int64
	Unknown         []byte // fields of a newer version, kept as they came
}

// Record is what one server originates. A record that has entered a table or a
// frame is never changed again; many tables share it.
type Record struct {
	Server      GUID
	Incarnation uint64 // raised by the server itself only: at each start, and to refute
	Sequence    uint64 // counts the changes of one incarnation
	Status      Status
	Accuser     GUID             // who asserted Suspect or Down; zero while alive
	Connectors  []ConnectorState // sorted by Connector, each once
	Drain       Drain
	Version     string
	Since       int64  // Unix milliseconds of the last change, by the clock of whoever made it
	Unknown     []byte // fields of a newer version, kept and forwarded as they came
}

// Bounds of what a record may hold.
const (
	// MaxReason bounds ConnectorState.Reason in bytes: a change of one link has
	// to stay cheap for every adjacency of the organisation, and crosses it twice
	// where both ends hear of it at the same time.
	MaxReason = 36
	// MaxIncarnation is the highest that is believed. It leaves room above any
	// clock, and makes an overflow by refuting unreachable.
	MaxIncarnation = 1 << 62
)

// Connector finds the state of one connector; false if the server is not (or
// does not know yet that it is) a bridgehead of it.
func (r *Record) Connector(connector GUID) (ConnectorState, bool) {
	i, ok := slices.BinarySearchFunc(r.Connectors, connector, func(s ConnectorState, g GUID) int {
		return s.Connector.Compare(g)
	})
	if !ok {
		return ConnectorState{}, false
	}
	return r.Connectors[i], true
}

// Valid says whether the record may enter a table: it names a server and a
// status, its incarnation is believable, its connectors are in order.
func (r *Record) Valid() bool {
	if r.Server.IsZero() || r.Status < Alive || r.Incarnation > MaxIncarnation {
		return false
	}
	for i := 1; i < len(r.Connectors); i++ {
		if r.Connectors[i-1].Connector.Compare(r.Connectors[i].Connector) >= 0 {
			return false
		}
	}
	return true
}
