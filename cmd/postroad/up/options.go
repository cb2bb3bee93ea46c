package up

import (
	"io"
	"time"
)

// Options of `postroad up`.
type Options struct {
	// File is the organisation; empty: on the first start the demo
	// organisation, later what the directory holds.
	File string
	// Data is the folder for everything.
	Data string
	// BasePort, if not 0, is the first of the loopback ports that are given to
	// the nodes, four for each and two for etcd. 0 keeps the loopback addresses
	// that the organisation names, and starts at [defaultBasePort] if it names others.
	BasePort int
	// NoRestart leaves a dead process dead.
	NoRestart bool
	// RestartDelay is how long a dead process stays dead otherwise.
	RestartDelay time.Duration
	// Once sends mail between all groups, prints a JSON report and ends.
	Once bool
	// Pprof lets the nodes serve /debug/pprof beside their metrics.
	Pprof bool
	// Quiet sends no first message.
	Quiet bool

	// Executable is the postroad binary to start nodes with.
	Executable string
	Stdout     io.Writer
	Stderr     io.Writer
}

const defaultBasePort = 20000

// Waiting times.
const (
	readyWithin   = 60 * time.Second // a node's start, recovery of a large spool included
	stopWithin    = 20 * time.Second // a node's drain; then SIGKILL
	deliverWithin = 30 * time.Second // a demo message's way
)
