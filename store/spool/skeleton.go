package spool

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Options of a spool. The zero value is usable.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Logger; nil logs nothing.
	Logger *zap.Logger
	// Faults, if set, is called at each named point of each transition (see the
	// package documentation); an error it returns fails the call there.
	Faults func(point string) error
	// Free measures the free disk space in octets; nil asks FS.
	Free func() (uint64, error)
	// Thresholds of Level and of ErrFull, in octets of free space: below
	// MinFree nothing new is accepted (default 64 MiB), below HighFree the level
	// is High (default 256 MiB), below MediumFree it is Medium (default 1 GiB).
	// A level is left when a quarter more than its threshold is free.
	MinFree, HighFree, MediumFree uint64
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct{}

// Open opens or creates the spool in the folder dir.
func Open(dir string, o Options) (*Spool, error) { return nil, ErrFailed }

// Close waits for nothing: the caller has ended its calls. What was not synced
// is synced.
func (s *Spool) Close() error { return nil }

// Body is the content of messages about to be accepted. It is not safe for use
// by several goroutines.
type Body struct{}

// NewBody begins a body. It must end in an accepted Incoming or in Discard.
func (s *Spool) NewBody() *Body { return nil }

// Write appends to the body. Errors: ErrFull, ErrFailed.
func (b *Body) Write(p []byte) (int, error) { return 0, ErrFailed }

// Size is the number of octets written.
func (b *Body) Size() int64 { return 0 }

// Discard drops a body that will not be accepted. After Accept it does nothing.
func (b *Body) Discard() {}

// Accept stores messages durably, all or none: when it returns nil they survive
// a crash, and they are submitted. This is the acknowledgement point.
func (s *Spool) Accept(msgs ...Incoming) error { return ErrFailed }

// Plan puts a submitted message into its queues, at least one. reports are
// accepted in the same instant (for recipients that failed at once). It is not
// synced: after a crash the message may be found submitted again.
// Errors: ErrNotFound, ErrInvalid when it was planned before, ErrFull, ErrFailed.
func (s *Spool) Plan(id ID, plan []byte, entries []Entry, reports ...Incoming) error {
	return ErrFailed
}

// Settle commits the results of attempts durably in one step, all or none. For
// each settlement it says whether the message is finished: no entry was left and
// the message is gone. A settlement whose message or entry is not there any more
// (removed by an administrator) is skipped whole, its reports too; it counts as
// finished if the message is gone. Errors: ErrInvalid, ErrFull, ErrFailed; then
// nothing was settled. Many settlements in one call cost one sync; so do
// concurrent calls.
func (s *Spool) Settle(list ...Settlement) (finished []bool, err error) { return nil, ErrFailed }

// Remove deletes a message in whatever state it is, durably; reports are
// accepted in the same instant. Errors: ErrNotFound, ErrFull, ErrFailed.
func (s *Spool) Remove(id ID, reports ...Incoming) error { return ErrFailed }

// Load reads all of a message but its body. Errors: ErrNotFound, ErrCorrupt.
func (s *Spool) Load(id ID) (Stored, error) { return Stored{}, ErrFailed }

// BodyReader reads one body from the first octet. It implements io.WriterTo.
type BodyReader struct{}

// OpenBody opens the body of a message. Errors: ErrNotFound, ErrCorrupt.
func (s *Spool) OpenBody(id ID) (*BodyReader, error) { return nil, ErrFailed }

// Size is the length of the whole body in octets.
func (r *BodyReader) Size() int64 { return 0 }

// Read implements io.Reader.
func (r *BodyReader) Read(p []byte) (int, error) { return 0, io.EOF }

// WriteTo implements io.WriterTo.
func (r *BodyReader) WriteTo(w io.Writer) (int64, error) { return 0, nil }

// Close ends reading.
func (r *BodyReader) Close() error { return nil }

// Submitted lists messages that were accepted and not yet planned, in the order
// of their IDs, after the given one (zero: from the first), at most limit.
func (s *Spool) Submitted(after ID, limit int) ([]ID, error) { return nil, ErrFailed }

// Queues lists all queues that have entries, by name, each with its oldest due
// time. It costs one seek a queue, however long the queues are.
func (s *Spool) Queues() ([]QueueHead, error) { return nil, ErrFailed }

// Entries lists entries of one queue by due time and ID, after the given
// position, at most limit.
func (s *Spool) Entries(queue string, after Position, limit int) ([]QueueEntry, error) {
	return nil, ErrFailed
}

// Count is the number of entries in a queue; see Stats.Counted.
func (s *Spool) Count(queue string) int64 { return 0 }

// WaitCounted waits until Count and Stats include what was there at Open.
func (s *Spool) WaitCounted(ctx context.Context) error { return nil }

// Stats describes the spool.
func (s *Spool) Stats() Stats { return Stats{} }

// Level is the present call for patience, measured at most once a second.
func (s *Spool) Level() Level { return Normal }

// Failed is closed when the storage failed for good (ErrFailed): the process
// should end and be started again. Nothing acknowledged is lost by that.
func (s *Spool) Failed() <-chan struct{} { return nil }
