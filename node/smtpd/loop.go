package smtpd

import (
	"context"
	"net"
	"net/netip"
	"time"
)

type input struct{}
type reply struct{}

func newConn(s *Server, cfg *Config, nc net.Conn) *Conn {
	c := &Conn{server: s, cfg: cfg, log: s.log, raw: nc, conn: nc}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if ap, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.client = ap.Addr().Unmap().WithZone("")
	}
	return c
}

func (c *Conn) serve() {
	defer c.server.forget(c)
	defer c.cancel()
	defer c.raw.Close()
}

// interrupt wakes the connection if it waits for a command.
func (c *Conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}
