package deliver

import (
	"net"
	"sync/atomic"
	"time"
)

// wire is the byte stream under a dialog. It counts what was handed to the
// kernel, so that a reply that comes too early is seen as such, and keeps the
// deadlines: every write gets its own, reads get theirs from beforeRead.
type wire struct {
	net.Conn
	block      time.Duration
	handed     atomic.Int64 // octets given to Conn.Write, counted before the call
	beforeRead func()
	afterWrite func()
}

func (w *wire) Read(b []byte) (int, error) {
	if w.beforeRead != nil {
		w.beforeRead()
	}
	return w.Conn.Read(b)
}

func (w *wire) Write(b []byte) (int, error) {
	w.handed.Add(int64(len(b)))
	if err := w.SetWriteDeadline(time.Now().Add(w.block)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(b)
	if err == nil && w.afterWrite != nil {
		w.afterWrite()
	}
	return n, err
}
