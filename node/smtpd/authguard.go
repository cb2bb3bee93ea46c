package smtpd

import (
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

// authGuard counts failed AUTH by client, so that guessing a password is slow
// however many connections take part. It is bounded: when it is full, who failed
// longest ago is forgotten.
type authGuard struct {
	mu      sync.Mutex
	clients map[netip.Prefix]*authFailures
}

type authFailures struct {
	first, last time.Time
	count       int
}

// maxGuarded clients cost about a megabyte.
const maxGuarded = 10_000

// clientNetwork is whom an address is counted with: itself, or with IPv6 its /64, all of which
// one client has (RFC 6177).
func clientNetwork(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

// failed counts a failure and returns how many there are in this window.
func (g *authGuard) failed(a netip.Addr, now time.Time, window time.Duration) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := clientNetwork(a)
	f := g.clients[key]
	if f == nil {
		if len(g.clients) >= maxGuarded {
			g.forget()
		}
		f = &authFailures{first: now}
		if g.clients == nil {
			g.clients = map[netip.Prefix]*authFailures{}
		}
		g.clients[key] = f
	} else if now.Sub(f.first) >= window {
		*f = authFailures{first: now}
	}
	f.last = now
	f.count++
	return f.count
}

// count is how many failures a client has in its present window.
func (g *authGuard) count(a netip.Addr, now time.Time, window time.Duration) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.clients[clientNetwork(a)]
	if f == nil {
		return 0
	}
	if now.Sub(f.first) >= window {
		delete(g.clients, clientNetwork(a))
		return 0
	}
	return f.count
}

// forget makes room; it looks at a few only, since an attacker with many
// addresses would otherwise make every failure dear.
func (g *authGuard) forget() {
	const looked = 16
	var oldest netip.Prefix
	var last time.Time
	n := 0
	for key, f := range g.clients {
		if n == 0 || f.last.Before(last) {
			oldest, last = key, f.last
		}
		if n++; n == looked {
			break
		}
	}
	delete(g.clients, oldest)
}

// AuthFailures is how many failed AUTH an address has in the present window.
func (s *Server) AuthFailures(a netip.Addr) int {
	return s.guard.count(a, time.Now(), s.config.Load().AuthFailureWindow)
}

// authBlocked is the answer to a client that has failed too often.
func (c *Conn) authBlocked() reply {
	max := c.cfg.MaxAuthFailuresPerClient
	if max < 0 || c.server.guard.count(c.client, time.Now(), c.cfg.AuthFailureWindow) < max {
		return reply{}
	}
	return refuse(454, smtp.EnhancedCode{4, 7, 0}, "Too many failed attempts from your address, try again later")
}

// authFailed counts a failed attempt, holds its answer back, and ends the
// connection after too many.
func (c *Conn) authFailed(mechanism string, r reply) reply {
	c.authFailures++
	count := c.server.guard.failed(c.client, time.Now(), c.cfg.AuthFailureWindow)
	c.log.Info("smtp_auth_refused", zap.Stringer("client", c.RemoteAddr()), zap.String("mechanism", mechanism),
		zap.Int("code", r.code), zap.Int("failures", count))
	if d := c.cfg.AuthFailureDelay; d > 0 && count > 1 {
		c.pause(d << min(count-2, 4))
	}
	if max := c.cfg.MaxAuthFailures; max > 0 && c.authFailures >= max {
		c.send(r)
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many failed authentications")
	}
	return r
}

// pause waits, without the replies that are due, or until the server ends.
func (c *Conn) pause(d time.Duration) {
	c.flush()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.server.done:
	}
}
