package track

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// FlushInterval is the longest an event waits in memory.
const FlushInterval = 100 * time.Millisecond

// bufferLimit is how many events memory holds, in each of two buffers (about
// 8 MiB together); half of it wakes the writer early.
const bufferLimit = 16384

// Defaults of Config.
const (
	DefaultRetention = 7 * 24 * time.Hour
	DefaultMaxBytes  = 8 << 30
)

// Config of a Log.
type Config struct {
	// Dir is the folder of the files; it is made if it is not there.
	Dir string
	// Retention is how long files are kept, by their day (DefaultRetention if 0).
	Retention time.Duration
	// MaxBytes is how many octets all files may have (DefaultMaxBytes if 0).
	MaxBytes int64
	// Logger gets one line an event, at level info; nil gets none.
	Logger *zap.Logger
	// Metrics are registered there; nil registers none.
	Metrics prometheus.Registerer
	// Now is the clock for retention; nil is time.Now.
	Now func() time.Time
}

// Log is the message tracking log of one node.
type Log struct {
	cfg     Config
	log     *zap.Logger
	metrics *metrics

	began time.Time

	mu      sync.Mutex
	pending []mail.Event
	closed  bool

	wake  chan struct{}   // something is pending
	hurry chan struct{}   // much is
	flush chan chan error // write now and say how it went
	stop  chan struct{}
	done  chan struct{}

	line  line // that the writer says
	field [1]zap.Field
}

// ErrClosed: the log was closed.
var ErrClosed = errors.New("tracking log: closed")

// New opens the log in its folder and starts its writer; Close ends it.
func New(cfg Config) (*Log, error) {
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("tracking log: %w", err)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("tracking log: %w", err)
	}
	l := &Log{
		cfg: cfg, log: cfg.Logger, metrics: m, began: time.Now(),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), flush: make(chan chan error),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	w := &writer{files: files{dir: cfg.Dir, limit: fileLimit}}
	go l.run(w)
	return l, nil
}

// Record keeps an event. It does not wait: when the buffer is full the event is
// dropped and counted. The event's Recipients must not be changed afterwards.
func (l *Log) Record(e mail.Event) {
	l.metrics.count(&e)
	l.mu.Lock()
	n := len(l.pending)
	if l.closed || n >= bufferLimit {
		l.mu.Unlock()
		l.metrics.dropped.Inc()
		return
	}
	l.pending = append(l.pending, e)
	l.mu.Unlock()
	switch n {
	case 0:
		signal(l.wake)
	case bufferLimit / 2:
		signal(l.hurry)
	}
}

// signal leaves at most one signal behind.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Flush writes what is in memory.
func (l *Log) Flush() error {
	answer := make(chan error, 1)
	select {
	case l.flush <- answer:
		return <-answer
	case <-l.done:
		return ErrClosed
	}
}

// Close writes what is in memory and ends the writer.
func (l *Log) Close() error {
	err := l.Flush()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	return err
}

// run is the writer goroutine.
func (l *Log) run(w *writer) {
	defer close(l.done)
	defer w.close()
	spare := make([]mail.Event, 0, 256)
	write := func() error {
		l.mu.Lock()
		l.pending, spare = spare[:0], l.pending
		l.mu.Unlock()
		err := l.write(w, spare)
		clear(spare) // lets go of the strings
		return err
	}
	for {
		select {
		case <-l.wake:
			if answer := l.linger(); answer != nil {
				answer <- write()
			} else {
				_ = write() // logged
			}
		case answer := <-l.flush:
			answer <- write()
		case <-l.stop:
			_ = write()
			if w.files.doubting {
				_ = w.files.count(true, time.Since(l.began)) // the next process counts less
			}
			return
		}
	}
}

// linger lets events gather; a flush that comes meanwhile is returned.
func (l *Log) linger() chan error {
	t := time.NewTimer(FlushInterval)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.hurry:
	case <-l.stop:
	case answer := <-l.flush:
		return answer
	}
	return nil
}

func (l *Log) write(w *writer, events []mail.Event) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		l.say(&events[i])
	}
	err := w.write(events)
	if err != nil {
		l.metrics.dropped.Add(float64(len(events)))
		l.log.Error("tracking_events_lost", zap.Int("events", len(events)), zap.Error(err))
	}
	now := l.cfg.Now()
	passed := time.Since(l.began)
	if day := dayOf(now); day != w.swept || w.files.grown || w.files.due(passed) {
		w.swept, w.files.grown = day, false
		if e := w.files.expire(now.Add(-l.cfg.Retention), l.cfg.MaxBytes, passed); e != nil {
			l.log.Warn("tracking_files_stay", zap.Error(e))
		}
	}
	return err
}
