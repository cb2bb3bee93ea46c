package smtpd

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("smtpd: server closed")

// Server serves SMTP on any number of listeners that share one Config.
type Server struct {
	config  atomic.Pointer[Config]
	backend Backend
	log     *zap.Logger
	closing atomic.Bool
	done    chan struct{} // closed when closing is set
	wg      sync.WaitGroup
	buffers buffers
	guard   authGuard
	secret  [32]byte // of this process; see secretFor

	handshakes atomic.Int64 // under way

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	clients   map[netip.Prefix]int // connections by client
	refused   int                  // of conns: those that a limit has refused, which count nowhere else
}

// New makes a server. A nil logger logs nothing.
func New(config Config, backend Backend, log *zap.Logger) *Server {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Server{
		backend:   backend,
		log:       log,
		done:      make(chan struct{}),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*Conn]struct{}{},
		clients:   map[netip.Prefix]int{},
	}
	rand.Read(s.secret[:]) // never fails, says crypto/rand
	s.SetConfig(config)
	return s
}

// SetConfig replaces the configuration for connections that start from now on.
func (s *Server) SetConfig(config Config) { s.config.Store(config.withDefaults()) }

// Connections is how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Serve accepts connections until the listener fails or is closed, or the
// server is. The error is never nil; after Shutdown or Close it is
// [ErrServerClosed]. Serve closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var wait time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			wait = 0
			s.start(nc)
			continue
		}
		if s.closing.Load() {
			return ErrServerClosed
		}
		// Out of descriptors and the like pass; a closed listener does not.
		var ne net.Error
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) {
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.log.Warn("smtp_accept_failed", zap.Stringer("listener", l.Addr()), zap.Error(err), zap.Duration("retry_in", wait))
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.done:
			t.Stop()
			return ErrServerClosed
		}
	}
}

// ServeConn serves one connection and returns when it is closed.
func (s *Server) ServeConn(nc net.Conn) {
	if c := s.admit(nc, nil); c != nil {
		c.serve()
	}
}

func (s *Server) start(nc net.Conn) {
	if c := s.admit(nc, nil); c != nil {
		go c.serve()
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	l.Close()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}

// admit registers a connection. One over a limit is registered too, since it
// gets its 421 from its own goroutine: a client that does not read must not hold
// up the listener.
func (s *Server) admit(nc net.Conn, turned context.Context) *Conn {
	cfg := s.config.Load()
	c := newConn(s, cfg, nc)
	c.turned = turned
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		nc.Close()
		return nil
	}
	s.wg.Add(1)
	s.conns[c] = struct{}{}
	c.counted = clientNetwork(c.client)
	s.clients[c.counted]++
	if c.Turned() {
		return c // this side wanted it
	}
	if cfg.MaxConnections > 0 && len(s.conns)-s.refused > cfg.MaxConnections {
		s.refuse(c, "Too many connections, try again later")
	} else if !lists(cfg.Proxies, c.client) { // whose clients are counted one by one
		s.crowded(c)
	}
	return c
}

// crowded refuses a connection that is one too many of its client.
func (s *Server) crowded(c *Conn) {
	if max := c.cfg.MaxConnectionsPerClient; max > 0 && s.clients[c.counted] > max {
		s.refuse(c, "Too many connections from your address, try again later")
	}
}

// refuse takes a connection out of all counts: who is refused must not keep others
// out while the refusal is being said.
func (s *Server) refuse(c *Conn, why string) {
	c.refused = why
	s.refused++
	s.uncount(c)
}

// recount makes a connection count for another client than before.
func (s *Server) recount(c *Conn, client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.refused != "" {
		c.client = client
		return
	}
	s.uncount(c)
	c.client, c.counted = client, clientNetwork(client)
	s.clients[c.counted]++
	s.crowded(c)
}

func (s *Server) uncount(c *Conn) {
	if s.clients[c.counted]--; s.clients[c.counted] == 0 {
		delete(s.clients, c.counted)
	}
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.refused != "" {
		s.refused--
	} else {
		s.uncount(c)
	}
	s.mu.Unlock()
	s.wg.Done()
}

// Shutdown stops listening, sends 421 to every connection that waits for a
// command, lets messages in transfer finish and be answered, and returns when all
// connections are gone. When ctx ends first, the rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	conns := s.close()
	for _, c := range conns {
		c.interrupt()
	}
	gone := make(chan struct{})
	go func() { s.wg.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		s.cut()
		<-gone
		return ctx.Err()
	}
}

// Close cuts all listeners and connections and waits for their goroutines.
func (s *Server) Close() error {
	s.close()
	s.cut()
	s.wg.Wait()
	return nil
}

// close stops admission; it may be called more than once.
func (s *Server) close() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing.Swap(true) {
		close(s.done)
	}
	for l := range s.listeners {
		l.Close()
	}
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.cancel() // whoever waits on its behalf for something else
		c.raw.Close()
	}
}
