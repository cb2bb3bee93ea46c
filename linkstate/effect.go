package linkstate

import "time"

// Effect is something for the runner to do: Connect, Disconnect, Reset, Send,
// Probe, Diverged, Woke, Changed or Persist. Effects of one step are done in their order.
type Effect interface{ effect() }

// Connect: keep a stream to this peer from now on. Which of the two dials is
// the runner's choice; it reports PeerUp and PeerLost, as often as they happen.
type Connect struct{ Peer GUID }

// Disconnect: the peer is no neighbour any more; close the stream and stay away.
// No PeerLost is expected.
type Disconnect struct{ Peer GUID }

// Reset: the stream to the peer is dead though nobody closed it; close it and
// connect anew. No PeerLost is expected.
type Reset struct {
	Peer   GUID
	Reason string
}

// Send a frame to a connected peer. If the peer reads slowly the runner may
// join frames: only the newest record of each server matters.
type Send struct {
	Peer  GUID
	Frame Frame
}

// Probe tries whether the connector can be used: connect, greet, leave. The
// outcome comes back as LinkResult, always. Server is the remote bridgehead to
// try; zero if there are several and any of them will do, or none (the connector
// leads outside).
type Probe struct {
	Connector GUID
	Server    GUID
}

// Diverged: the peer's table has differed from the own one in the same way since
// then, though frames pass; comparing does not help, as when two directories
// disagree about which servers there are. A zero Since takes it back.
type Diverged struct {
	Peer  GUID
	Since time.Time
}

// Woke: this server stood still for so long; it blames nobody for it, but somebody
// should know.
type Woke struct{ After time.Duration }

// Changed: the table is another one now.
type Changed struct{}

// Persist: the table should reach the disk soon.
type Persist struct{}

func (Connect) effect()    {}
func (Disconnect) effect() {}
func (Reset) effect()      {}
func (Send) effect()       {}
func (Probe) effect()      {}
func (Diverged) effect()   {}
func (Woke) effect()       {}
func (Changed) effect()    {}
func (Persist) effect()    {}
