package main

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/transport"
)

// Exit codes; scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
	exitPartial     = 6
)

// failure is an error after the command line itself was understood.
type failure struct {
	err  error
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed turns an error into one with an exit code.
func failed(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return &failure{err, exitFailed}
	}
	code, text := exitFailed, plain(s.Message())
	switch s.Code() {
	case codes.InvalidArgument:
		code = exitUsage
	case codes.NotFound:
		code = exitNotFound
	case codes.Aborted, codes.AlreadyExists, codes.FailedPrecondition:
		code = exitConflict
	case codes.DeadlineExceeded:
		code, text = exitUnavailable, "no answer in time; --timeout gives the node longer"
	case codes.Unavailable, codes.Canceled:
		code = exitUnavailable
	}
	return &failure{errors.New(text), code}
}

// refused is for changes: that the directory's rules forbid one is no wrong usage.
func refused(err error) error {
	if s, ok := status.FromError(err); ok && s.Code() == codes.InvalidArgument {
		return &failure{errors.New(s.Message()), exitFailed}
	}
	return err
}

// plain removes gRPC's frame from the reason why a node was not reached.
func plain(text string) string {
	cause, found := transport.Cause(text)
	if !found {
		return text
	}
	return "the node cannot be reached: " + cause
}
