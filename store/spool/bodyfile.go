package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// A body of more than one chunk has a file of its own beside the store, which would
// copy it into its log, a memtable and a table, to have it read once. The envelope
// says which file. So one rule holds it all together: a file is whole and synced
// before an envelope that names it is written, and it is used again, or removed, only
// after the deletion of that envelope was synced.
//
// Files that nobody names are orphans: bodies that were never accepted, and what a
// crash kept from being removed. The next Open finds and removes them.

const (
	bodiesName = "bodies"

	// A frame is a chunk behind its head: checksum, body, chunk, octets.
	frameHead = 4 + 12 + 4 + 4
	frameSize = frameHead + chunkSize

	// Files of finished bodies are written again: to overwrite costs a third of what
	// it costs to make a file and to give its room back. So many octets of them are
	// kept, none of more than spareEach.
	spareAll  = 64 << 20
	spareEach = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bodyFiles are the files of large bodies.
type bodyFiles struct {
	fs     vfs.FS
	dir    string
	newest atomic.Uint64 // the greatest number ever seen
	octets atomic.Int64  // of those that envelopes name, about

	mu    sync.Mutex
	spare []spareFile
	kept  int64 // octets of spare
}

type spareFile struct {
	number uint64
	length int64
	fresh  bool // its name is not durable yet
}

func (f *bodyFiles) path(number uint64) string {
	return f.fs.PathJoin(f.dir, fmt.Sprintf("%016x", number))
}

// open makes the folder if it is missing, and lists what is there.
func (f *bodyFiles) open(parent string, readOnly bool) (there []uint64, err error) {
	f.dir = f.fs.PathJoin(parent, bodiesName)
	if !readOnly {
		if err := makeFolder(f.fs, f.dir); err != nil {
			return nil, err
		}
	}
	there, err = f.list()
	for _, n := range there {
		f.newest.Store(max(f.newest.Load(), n))
	}
	return there, err
}

func (f *bodyFiles) list() (there []uint64, err error) {
	names, err := f.fs.List(f.dir)
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 16, 64); err == nil && len(name) == 16 {
			there = append(there, n)
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil // nothing large was ever accepted
	}
	return there, err
}

// bodyFile is a file that a body streams into.
type bodyFile struct {
	vfs.File
	spareFile
}

// take gives a file to be written from its beginning.
func (f *bodyFiles) take() (*bodyFile, error) {
	b := &bodyFile{}
	f.mu.Lock()
	if n := len(f.spare) - 1; n >= 0 {
		b.spareFile = f.spare[n]
		f.spare, f.kept = f.spare[:n], f.kept-b.length
	}
	f.mu.Unlock()
	if b.number == 0 {
		b.number, b.fresh = f.newest.Add(1), true
	}
	var err error
	if b.File, err = f.fs.OpenReadWrite(f.path(b.number), vfs.WriteCategoryUnspecified); err != nil {
		return nil, errors.Join(err, f.giveBack(b.number, b.fresh))
	}
	return b, nil
}

// named notes that an envelope names a file.
func (f *bodyFiles) named(length int64) { f.octets.Add(length) }

// giveBack takes a file that no envelope names, and none may name after a crash. Its body
// may be shorter than the file: it was not the first.
func (f *bodyFiles) giveBack(number uint64, fresh bool) error {
	info, err := f.fs.Stat(f.path(number))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	file := spareFile{number, info.Size(), fresh}
	f.mu.Lock()
	if file.length <= spareEach && f.kept+file.length <= spareAll {
		f.spare = append(f.spare, file)
		f.kept += file.length
		f.mu.Unlock()
		return nil
	}
	f.mu.Unlock()
	if err := f.fs.Remove(f.path(file.number)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// used is what the files take, in octets.
func (f *bodyFiles) used() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(max(0, f.octets.Load()+f.kept))
}

func appendFrameHead(h []byte, b bodyID, chunk uint32, content []byte) []byte {
	h = append(append(h, 0, 0, 0, 0), b[:]...)
	h = binary.BigEndian.AppendUint32(h, chunk)
	h = binary.BigEndian.AppendUint32(h, uint32(len(content)))
	binary.BigEndian.PutUint32(h, crc32.Update(crc32.Checksum(h[4:], castagnoli), castagnoli, content))
	return h
}

// writeFrame appends a chunk.
func (f *bodyFile) writeFrame(b bodyID, chunk uint32, content []byte) error {
	var head [frameHead]byte
	if _, err := f.Write(appendFrameHead(head[:0], b, chunk, content)); err != nil {
		return err
	}
	_, err := f.Write(content)
	return err
}

// readFrame reads a chunk into content, which has the length that it must have.
func readFrame(f vfs.File, b bodyID, chunk uint32, content []byte) error {
	var head, want [frameHead]byte
	at := int64(chunk) * int64(frameSize)
	if _, err := f.ReadAt(head[:], at); err != nil {
		return err
	}
	if _, err := f.ReadAt(content, at+frameHead); err != nil {
		return err
	}
	if appendFrameHead(want[:0], b, chunk, content); head != want {
		return fmt.Errorf("%w: chunk %d is not what was written", ErrCorrupt, chunk)
	}
	return nil
}

// length is what a body takes in its file.
func (s stored) length() int64 { return s.size + int64(s.chunks)*int64(frameHead) }

// chunk is the length of one of the body's chunks.
func (s stored) chunk(n uint32) int64 { return min(s.size-int64(n)*chunkSize, chunkSize) }

// flush writes the full chunk into the body's file.
func (b *Body) flush() error {
	s := b.spool
	if err := s.admit(chunkSize); err != nil {
		return err
	}
	if err := s.fault(faultBodyChunk); err != nil {
		return err
	}
	if b.file == nil {
		if err := b.open(); err != nil {
			return err
		}
	}
	if err := s.guardedWrite(func() error { return b.file.writeFrame(b.id, b.chunks, b.last) }); err != nil {
		b.last = nil // who is left behind may still read it
		return err
	}
	b.chunks++
	b.last = b.last[:0]
	return s.fault(faultBodyChunkWritten)
}

func (b *Body) open() error {
	s := b.spool
	var f *bodyFile
	err := s.guarded(func() (err error) { f, err = s.files.take(); return err })
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // which passes
		return fmt.Errorf("%w for a large message: %w; raise the limit of open files", ErrFull, err)
	case err != nil && s.Err() == nil:
		return s.fail(err)
	case err != nil:
		return err
	}
	b.file = f
	return nil
}

// secure makes the bodies that have files whole and durable. It may be called again
// with the same.
func (s *Spool) secure(msgs []Incoming) error {
	for i := range msgs {
		b := msgs[i].Body
		if b.file == nil || b.secured {
			continue
		}
		err := s.guardedWrite(func() error {
			if len(b.last) > 0 {
				if err := b.file.writeFrame(b.id, b.chunks, b.last); err != nil {
					return err
				}
			}
			if err := b.file.SyncData(); err != nil {
				return err
			}
			if b.file.fresh {
				if err := syncFolder(s.files.fs, s.files.dir); err != nil {
					return err
				}
				b.file.fresh = false
			}
			return b.file.Close()
		})
		if err != nil {
			b.last = nil // who is left behind may still read it
			return err
		}
		b.secured, b.chunks = true, uint32(chunksOf(b.size))
		if err := s.fault(faultBodySynced); err != nil {
			return err
		}
	}
	return nil
}

// drop gives the file of a body back that was not accepted.
func (b *Body) drop() {
	s, f := b.spool, b.file
	s.leftIf(f.number, s.guarded(func() error {
		if !b.secured {
			_ = f.Close()
		}
		return s.files.giveBack(f.number, f.fresh)
	}))
}

// leftIf tells of a file that could be neither kept nor removed.
func (s *Spool) leftIf(file uint64, err error) {
	if err != nil && s.Err() == nil {
		s.log.Warn("spool_body_left", zap.String("file", s.files.path(file)), zap.Error(err),
			zap.String("cure", "none is needed: it is removed when the node starts next"))
	}
}

// released gives back the files of bodies whose deletion is durable.
func (s *Spool) released(bodies []stored) {
	for _, b := range bodies {
		s.files.octets.Add(-b.length())
		s.leftIf(b.file, s.guarded(func() error { return s.files.giveBack(b.file, false) }))
	}
}

// removeOrphans removes the files that were there at Open and that no envelope names.
func (s *Spool) removeOrphans(there []uint64, named map[uint64]struct{}) {
	var removed int
	for _, n := range there {
		if _, ok := named[n]; ok || s.closed.Load() {
			continue
		}
		if err := s.guarded(func() error { return s.files.fs.Remove(s.files.path(n)) }); err == nil {
			removed++
		}
	}
	if removed > 0 {
		s.log.Info("spool_orphans_deleted", zap.Int("bodies", removed))
	}
}
