package spool

import (
	"fmt"
	"runtime"
	"strings"

	"go.uber.org/zap"
)

// When a write to its log fails, Pebble cannot go on: it calls Logger.Fatalf
// and expects the process to end there. A node must not die in the middle of
// other people's sessions, and Apply would report success if Fatalf returned. So:
//
//   - in a call of this package Fatalf panics, and the call returns ErrFailed;
//   - in one of Pebble's own goroutines it never returns. That goroutine holds
//     whatever it held; nothing is written after it.
//
// Either way Failed is closed and every later write returns ErrFailed. Only a
// new process can open the folder again, from what was synced.

// fatal is what Fatalf panics with.
type fatal struct{ text string }

// logger passes Pebble's words on.
type logger struct {
	log  *zap.Logger
	fail func(error) error
}

// Infof is told about each flush and compaction.
func (l logger) Infof(format string, args ...any) {
	if l.log.Core().Enabled(zap.DebugLevel) {
		l.log.Debug("spool_storage", zap.String("text", fmt.Sprintf(format, args...)))
	}
}

// Errorf is told about what Pebble survives.
func (l logger) Errorf(format string, args ...any) {
	l.log.Error("spool_storage", zap.String("text", fmt.Sprintf(format, args...)))
}

// Fatalf does not return.
func (l logger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	_ = l.fail(fmt.Errorf("%s", text))
	if calledBySpool() {
		panic(fatal{text})
	}
	select {}
}

// calledBySpool says whether this goroutine runs a call of this package, which
// recovers, or one of Pebble's own jobs.
func calledBySpool() bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "store/spool.(*Spool)") {
			return true
		}
		if !more {
			return false
		}
	}
}

// recoverFailure turns a panic of Pebble's write path into an error. Pebble
// panics itself when it cannot close a full log file.
func (s *Spool) recoverFailure(err *error) {
	switch r := recover().(type) {
	case nil:
	case fatal:
		*err = s.failure()
	default:
		*err = s.fail(fmt.Errorf("%v", r))
	}
}

// fail marks the storage as failed, once, and gives the error to return.
func (s *Spool) fail(cause error) error {
	s.failOnce.Do(func() {
		s.cause.Store(&cause)
		close(s.failed)
		s.log.Error("spool_failed", zap.String("cure", "start the node again when the disk is well"), zap.Error(cause))
	})
	return s.failure()
}

func (s *Spool) failure() error { return fmt.Errorf("%w: %w", ErrFailed, *s.cause.Load()) }

// Failed is closed when the storage failed for good (ErrFailed): the process
// should end and be started again. Nothing acknowledged is lost by that.
func (s *Spool) Failed() <-chan struct{} { return s.failed }
