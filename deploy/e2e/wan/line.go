package wan

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// line carries packets from one host to another, in their order.
type line struct {
	to      *Host
	octets  sync.Map // port: *atomic.Int64
	waiting chan waiting
	ended   chan struct{}
}

type waiting struct {
	octets []byte
	until  time.Time
}

// queue is how many packets a slow line holds; more are lost, as in a router.
const queue = 4096

func newLine(to *Host) *line {
	l := &line{to: to, waiting: make(chan waiting, queue), ended: make(chan struct{})}
	go l.run()
	return l
}

// send is called from one goroutine.
func (l *line) send(p packet, delay time.Duration) {
	if delay == 0 && len(l.waiting) == 0 {
		l.deliver(p.octets)
	} else {
		select {
		case l.waiting <- waiting{slices.Clone(p.octets), time.Now().Add(delay)}:
		default:
			return
		}
	}
	for _, port := range p.ports {
		c, ok := l.octets.Load(port)
		if !ok {
			c, _ = l.octets.LoadOrStore(port, new(atomic.Int64))
		}
		c.(*atomic.Int64).Add(int64(len(p.octets)))
	}
}

func (l *line) run() {
	defer close(l.ended)
	for w := range l.waiting {
		time.Sleep(time.Until(w.until))
		l.deliver(w.octets)
	}
}

// deliver loses the packet if the host cannot take it, as networks do.
func (l *line) deliver(octets []byte) { _, _ = l.to.tun.Write(octets) }

func (l *line) stop() {
	close(l.waiting)
	<-l.ended
}
