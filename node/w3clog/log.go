// Package w3clog writes protocol logs in the W3C extended log file format, as the
// virtual servers of the original did: a header that names the fields, one line
// for each command, a new file each day, each hour or at a size. Times are UTC.
package w3clog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Rotation says when a new file begins; one that has reached its size does in
// any case.
type Rotation uint8

// Rotations.
const (
	Daily Rotation = iota
	Hourly
	BySize
)

// Config of a log. It is comparable, but for Fields.
type Config struct {
	Folder   string
	Fields   []string // names, see [Fields]
	Rotation Rotation
	MaxSize  int64 // octets; 0: no limit
	Keep     int   // files; 0: all
}

// flushEvery bounds what a crash takes from the log.
const flushEvery = 200 * time.Millisecond

// Log is an open log. Its methods are safe for many goroutines; none of them
// waits for anything but the disk.
type Log struct {
	c     Config
	write []func([]byte, *Record) []byte
	now   func() time.Time
	log   *zap.Logger
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	period string
	file   *os.File
	out    *bufio.Writer
	size   int64
	line   []byte
	failed error // of the last record or file; nil: it was written
	closed bool
}

// Open makes the folder and the first file, so that a log which cannot be
// written is known at once. Later troubles with the disk cost records, not
// mail: they are told to logger once, and the log comes back by itself.
func Open(c Config, now func() time.Time, logger *zap.Logger) (*Log, error) {
	l := &Log{c: c, now: now, log: logger, stop: make(chan struct{}), done: make(chan struct{})}
	for _, name := range c.Fields {
		f, ok := fields()[name]
		if !ok {
			return nil, fmt.Errorf("protocol log: there is no field %s", name)
		}
		l.write = append(l.write, f)
	}
	if err := l.rotate(now().UTC()); err != nil {
		return nil, fmt.Errorf("protocol log: %w", err)
	}
	go l.flushing()
	return l, nil
}

func (l *Log) flushing() {
	defer close(l.done)
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.mu.Lock()
			if l.out != nil {
				l.note(l.out.Flush())
			}
			l.mu.Unlock()
			l.lookForFile()
		}
	}
}

// lookForFile gives a file up that somebody has taken away or put another in place of:
// what is written to it nobody would ever read. The next record begins it anew.
func (l *Log) lookForFile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	there, err := os.Stat(l.file.Name())
	if err == nil {
		mine, e := l.file.Stat()
		if e != nil || os.SameFile(there, mine) {
			return
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return
	}
	if err := l.shut(); err != nil {
		l.note(err)
	}
}

// Close writes what is left.
func (l *Log) Close() error {
	close(l.stop)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.shut()
}

// Add writes a record.
func (l *Log) Add(r *Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	at := r.Time.UTC()
	if l.file == nil || l.c.Rotation != BySize && l.periodOf(at) > l.period || l.c.MaxSize > 0 && l.size >= l.c.MaxSize {
		if err := l.rotate(at); err != nil {
			l.note(err)
			return
		}
	}
	l.line = l.line[:0]
	for i, f := range l.write {
		if i > 0 {
			l.line = append(l.line, ' ')
		}
		l.line = f(l.line, r)
	}
	l.line = append(l.line, '\n')
	n, err := l.out.Write(l.line)
	l.size += int64(n)
	l.note(err)
}

// note tells of the first of several errors in a row. A file that cannot be
// written to is given up; the next record tries another.
func (l *Log) note(err error) {
	if err == nil {
		l.failed = nil
		return
	}
	if l.failed == nil {
		l.log.Error("protocol_log_failed", zap.String("folder", l.c.Folder), zap.Error(err))
	}
	l.failed = fmt.Errorf("protocol log: %w", err)
	if l.file != nil {
		l.file.Close()
		l.file, l.out = nil, nil
	}
}

// Fault is why records are being lost at present; nil: they are written.
func (l *Log) Fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *Log) shut() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.out.Flush(), l.file.Close())
	l.file, l.out = nil, nil
	return err
}

// periodOf is the part of a file's name that changes with the rotation; names
// sort by time.
func (l *Log) periodOf(at time.Time) string {
	switch l.c.Rotation {
	case Hourly:
		return at.Format("2006010215")
	case BySize:
		return at.Format("20060102150405")
	}
	return at.Format("20060102")
}

// rotate goes on in the newest file of the period if it has room, or begins
// another.
func (l *Log) rotate(at time.Time) error {
	// Somebody may have taken the folder away since.
	err := errors.Join(l.shut(), os.MkdirAll(l.c.Folder, 0o750))
	period := l.periodOf(at)
	for n := 1; n < 100000; n++ {
		name := filepath.Join(l.c.Folder, fmt.Sprintf("ex%s-%05d.log", period, n))
		f, openErr := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if openErr != nil {
			return errors.Join(err, openErr)
		}
		st, statErr := f.Stat()
		if statErr != nil {
			f.Close()
			return errors.Join(err, statErr)
		}
		if l.c.MaxSize > 0 && st.Size() >= l.c.MaxSize {
			f.Close()
			continue
		}
		l.period, l.file, l.out, l.size = period, f, bufio.NewWriterSize(f, 32<<10), st.Size()
		l.prune()
		n, headErr := io.WriteString(l.out, l.header(at))
		l.size += int64(n)
		return errors.Join(err, headErr, l.out.Flush())
	}
	return errors.Join(err, fmt.Errorf("%s: too many files of one period", l.c.Folder))
}

func (l *Log) header(at time.Time) string {
	return "#Software: Postroad\n#Version: 1.0\n#Date: " + at.Format(time.DateTime) + "\n#Fields: " + strings.Join(l.c.Fields, " ") + "\n"
}

// prune removes the oldest files. One that stays is no reason to write no records, nor
// is a clock that was ahead: the file that is written to is then the oldest.
func (l *Log) prune() {
	if l.c.Keep <= 0 {
		return
	}
	names, err := filepath.Glob(filepath.Join(l.c.Folder, "ex*.log"))
	slices.Sort(names)
	errs := []error{err}
	for _, n := range names[:max(0, len(names)-l.c.Keep)] {
		if n != l.file.Name() {
			errs = append(errs, os.Remove(n))
		}
	}
	if err := errors.Join(errs...); err != nil {
		l.log.Warn("protocol_log_files_stay", zap.String("folder", l.c.Folder), zap.Error(err))
	}
}
