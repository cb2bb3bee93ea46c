package smtpd

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

func newConn(s *Server, cfg *Config, nc net.Conn) *Conn {
	c := &Conn{server: s, cfg: cfg, log: s.log, raw: nc, conn: nc, in: input{src: nc, lender: &s.buffers}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.client = a.AddrPort().Addr().Unmap().WithZone("")
	} else if ap, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.client = ap.Addr().Unmap().WithZone("")
	}
	return c
}

// serve is the life of a connection.
func (c *Conn) serve() {
	defer c.server.forget(c)
	defer c.cancel()
	defer c.conclude()
	defer c.guard()
	if !c.Turned() && !c.begin() {
		return
	}
	c.began = beginning{c.forward, c.client}
	c.observe("", "", 0)
	c.send(c.greeting())
	for !c.closed {
		if c.unwelcome { // from the beginning, or since XCLIENT
			c.dismiss()
			return
		}
		cmd, err := c.readCommand()
		if err != nil {
			c.send(c.readError(err))
			continue
		}
		c.send(c.handle(cmd))
	}
}

// begin is what comes before the greeting of who opened the connection.
func (c *Conn) begin() bool {
	if lists(c.cfg.Proxies, c.client) && !c.readProxy() {
		return false
	}
	if c.cfg.ImplicitTLS && c.refused != "" {
		// A handshake is what costs; one that nobody finishes would hold its place for a minute.
		c.observe("", "", 0)
		c.tell(421, 0)
		c.broken, c.closed = true, true
		return false
	}
	if c.cfg.ImplicitTLS && !c.handshake() {
		return false
	}
	c.mayXClient = lists(c.cfg.XClients, c.client)
	return true
}

// readCommand reads the next command within the line limit of its verb.
func (c *Conn) readCommand() (command, error) {
	line, err := c.readLine(maxAuthLine)
	if err != nil {
		return command{}, err
	}
	cmd := parseCommand(string(line))
	c.observe(cmd.verb, cmd.arg, len(line)+2)
	if len(line)+2 > c.lineLimit(cmd.verb) {
		return command{}, tooLong(line)
	}
	return cmd, nil
}

// guard turns a panic of a session into the end of its connection.
func (c *Conn) guard() {
	p := recover()
	if p == nil {
		return
	}
	c.log.Error("smtp_session_panic", zap.Stringer("client", c.RemoteAddr()), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	c.send(hangup(421, smtp.EnhancedCode{4, 3, 0}, "Internal error"))
}

// conclude says the last words and closes.
func (c *Conn) conclude() {
	func() {
		defer c.guard()
		c.logout()
	}()
	c.flush()
	c.drainSocket()
	c.conn.Close()
	c.raw.Close()
	c.in.shrink()
}

// Bounds of drainSocket.
const (
	drainTime  = time.Second
	drainBytes = 256 << 10
)

// drainSocket keeps the last reply from being lost: closing a TCP socket with
// unread octets resets the connection, and a reset overtakes what was sent.
func (c *Conn) drainSocket() {
	half, able := c.raw.(interface{ CloseWrite() error })
	if !able || c.broken || !c.hungUp || c.leaving() {
		return
	}
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	if half.CloseWrite() != nil {
		return
	}
	c.raw.SetReadDeadline(time.Now().Add(drainTime))
	io.CopyN(io.Discard, c.raw, drainBytes)
}
