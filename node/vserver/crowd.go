package vserver

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// crowd bounds the connections of all virtual servers together. Without it anybody
// could take the descriptors that the spool and deliveries need, and a store that
// cannot open its files stands still.
type crowd struct {
	max  int64 // 0: no bound
	open atomic.Int64
	said atomic.Int64 // when it was last logged that there are too many, in Unix seconds
}

// crowdedReply is short, and fits into the buffer of a new socket: nobody waits for its
// reader.
const crowdedReply = "421 4.3.2 Too many connections, try again later\r\n"

// watched gives a listener's connections as far as there is room, and turns others
// away before they cost more than a descriptor for a moment.
func (s *Set) watched(v *virtual, l net.Listener) net.Listener {
	if s.crowd.max == 0 {
		return l
	}
	return &watchedListener{l, s, v}
}

type watchedListener struct {
	net.Listener
	set *Set
	v   *virtual
}

func (l *watchedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		tcp, ok := c.(*net.TCPConn)
		if err != nil || !ok {
			return c, err
		}
		crowd := &l.set.crowd
		if crowd.open.Add(1) <= crowd.max {
			return &counted{TCPConn: tcp, crowd: crowd}, nil
		}
		crowd.open.Add(-1)
		l.turnAway(tcp)
	}
}

func (l *watchedListener) turnAway(c *net.TCPConn) {
	defer c.Close()
	l.v.metrics.refused.WithLabelValues(l.v.name, reasonCrowd).Inc()
	now := time.Now()
	if last := l.set.crowd.said.Load(); now.Unix()-last >= 60 && l.set.crowd.said.CompareAndSwap(last, now.Unix()) {
		l.v.log.Warn("smtp_connections_exhausted", zap.Int64("connections", l.set.crowd.max), zap.Stringer("client", c.RemoteAddr()))
	}
	if !l.v.speaksFirst() {
		return
	}
	c.SetWriteDeadline(now.Add(time.Second))
	c.Write([]byte(crowdedReply))
	c.CloseWrite()
}

// counted is a connection that makes room when it is closed.
type counted struct {
	*net.TCPConn
	crowd *crowd
	once  sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.crowd.open.Add(-1) })
	return c.TCPConn.Close()
}
