package spool

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// When a write to its log fails, Pebble cannot go on: it calls Logger.Fatalf and
// expects the process to end there, or panics with a lock in its hands, which
// ends the process whatever one does. A node must not die in the middle of other
// people's sessions. So Pebble never learns of such an error:
//
//   - the operation of the disk that failed never returns, nor does any that
//     changes the disk after it (patient.go): the disk stays as it was;
//   - Failed is closed, and every call that waits for Pebble returns ErrFailed and
//     leaves behind what it waited for;
//   - Fatalf, for other reasons, panics in a call of this package, which recovers,
//     and never returns in one of Pebble's own goroutines.
//
// Every later write returns ErrFailed; reads work. Only a new process can open
// the folder again, from what was synced.
//
// Nor can Pebble stand a table that cannot be read while it merges tables: it
// panics. That merging stands still then, for ever, and others go on ([Spool.stall]).
//
// A table that cannot be written is no such error: Pebble begins another. When
// that happens maxTableFailures times in a row, the disk is given up as well.

const maxTableFailures = 20

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
	if within("store/spool.(*Spool)") { // a call of this package, which recovers
		panic(fatal{text})
	}
	select {}
}

// within says whether this goroutine is in a function whose name has that part.
func within(part string) bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, part) {
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
		if s.disk.fatal.Load() != nil { // else an Open fails and puts away what it has
			s.disk.freeze()
		}
		close(s.failed)
		// The log may be on the same disk, so nobody waits for it.
		go s.log.Error("spool_failed", zap.String("cure", "start the node again when the disk is well"), zap.Error(cause))
	})
	return s.failure()
}

// giveUp is told that the disk does not answer. Whatever waits for it may go on one
// day, also an Open: it must change nothing then.
func (s *Spool) giveUp(cause error) {
	s.disk.freeze()
	_ = s.fail(cause)
}

func (s *Spool) failure() error { return fmt.Errorf("%w: %w", ErrFailed, *s.cause.Load()) }

// Failed is closed when the storage failed for good (ErrFailed): the process
// should end and be started again. Nothing acknowledged is lost by that.
func (s *Spool) Failed() <-chan struct{} { return s.failed }

// Err is why the storage failed, an ErrFailed; nil: it did not.
func (s *Spool) Err() error {
	if s.cause.Load() == nil {
		return nil
	}
	return s.failure()
}

// readFailure is a read that failed for one who merges nothing. A merging that waited for
// the same table to be opened ends with it; the next one opens it itself.
type readFailure struct{ error }

// Unwrap serves errors.Is and errors.As.
func (e readFailure) Unwrap() error { return e.error }

// unreadable is told of a read that failed, and gives the error to go on with.
func (s *Spool) unreadable(file string, cause error) error {
	if !within(merging) {
		return readFailure{cause}
	}
	if within(opening) {
		// Others wait for this table too, so nobody may stop here. Pebble tells of what
		// is corrupt once more, when they wait no longer.
		return fmt.Errorf("%w: %w", pebble.ErrCorruption, cause)
	}
	s.stall(file, cause)
	return cause
}

// Functions of Pebble that are on the stack while tables are merged, while a table
// is opened for all who want it, while properties of tables are read, and while what is in
// memory is written in the background.
const (
	merging    = "pebble/v2.(*DB).compact"
	opening    = "/genericcache."
	collecting = "pebble/v2.(*DB).scanReadStateTableStats"
	flushing   = "pebble/v2.(*DB).flush"
)

// stall never returns if this goroutine merges tables. The tables that it reads
// stay as they are; what is whole in them is still served.
func (s *Spool) stall(file string, cause error) {
	if !within(merging) || within(opening) {
		return
	}
	s.suspect(file)
	s.stalled.Add(1)
	s.heldForEver()
	s.stallOnce.Do(func() { close(s.stalling) })
	s.log.Error("spool_merging_stalled", zap.String("file", file), zap.Error(cause),
		zap.String("cure", "start the node again: it heals the table as it starts; look at the disk"))
	select {}
}

// heldBack is told that Pebble lets no write through until tables are merged, or until
// there is memory again. While a merging stands still the former would be for ever.
func (s *Spool) heldBack(i pebble.WriteStallBeginInfo) {
	s.held.Store(true)
	s.log.Warn("spool_writes_held_back", zap.String("reason", i.Reason))
	if s.stalled.Load() > 0 && strings.Contains(i.Reason, "L0") {
		s.tooMany()
	}
}

// heldForEver looks whether writes that are held back now will be for ever: Pebble tells
// neither that a merging stops later, nor that what holds them back is another reason now. It
// may be called with Pebble's lock held.
func (s *Spool) heldForEver() {
	if s.stalled.Load() == 0 || !s.held.Load() || !s.pins.TryRLock() {
		return
	}
	go func() {
		defer s.pins.RUnlock()
		if tables := s.db.Metrics().Levels[0].Sublevels; int(tables) >= s.stopWrites && s.held.Load() {
			s.tooMany()
		}
	}()
}

func (s *Spool) tooMany() {
	_ = s.fail(errors.New("a table that cannot be read keeps others from being merged, and there are too many of them now"))
}
