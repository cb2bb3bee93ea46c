package directory

import (
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// Warnings and errors that etcd writes in the course of nature. Whoever reads
// them looks for a fault that is not there.
var (
	// always: we serve gRPC and health on one port, and clients authenticate by
	// certificate, not by token.
	always = []string{
		"Running http and grpc server on single port. This is not recommended for production.",
		"simple token is not cryptographically signed",
	}
	// whenNew: a folder that was just made has no schema version yet, and a member that
	// has not read of itself in its log is not elected until it has.
	whenNew = []string{"Failed to detect schema version", "failed to update storage version", "since there are still pending configuration changes to apply"}
	// whenStopping: its listeners are closed, because we close them, and what it
	// still waits for is called off.
	whenStopping = []string{
		"setting up serving from embedded etcd failed.",
		"stopping insecure grpc server due to error",
		"stopped insecure grpc server due to error",
		"stopping secure grpc server due to error",
		"stopped secure grpc server due to error",
		"failed to update cluster version",
	}
)

// calm passes on what etcd logs, except what is normal.
type calm struct {
	zapcore.Core
	fresh    bool // the folder was empty
	stopping *atomic.Bool
}

func (c calm) With(fields []zapcore.Field) zapcore.Core {
	return calm{c.Core.With(fields), c.fresh, c.stopping}
}

func (c calm) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	said := func(part string) bool { return strings.Contains(e.Message, part) }
	if slices.ContainsFunc(always, said) ||
		c.fresh && slices.ContainsFunc(whenNew, said) ||
		c.stopping.Load() && slices.ContainsFunc(whenStopping, said) {
		return checked
	}
	return c.Core.Check(e, checked)
}
