package vserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ErrNotRunning is why a connection cannot be served.
var ErrNotRunning = errors.New("the virtual server does not run")

// ServeTurned serves a connection that this node opened to a provider and on which
// the roles have changed (RFC 2645 section 5.3), by the rules of a virtual server;
// "" is the first by name. The provider is a client like others: it brings mail for
// domains that are ours, and may not relay. Who may connect, and what must come
// before MAIL (TLS, AUTH), is not asked of whom we called. It returns how many
// messages were taken, after the end of the connection.
func (s *Set) ServeTurned(ctx context.Context, name string, conn net.Conn) (int, error) {
	v := s.named(name)
	if v == nil {
		conn.Close()
		return 0, fmt.Errorf("%w: %q; start it, or name another one in dequeue.virtualServer", ErrNotRunning, name)
	}
	return v.engine.ServeTurned(ctx, conn), nil
}

func (s *Set) named(name string) *virtual {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*virtual, 0, len(s.running))
	for _, v := range s.running {
		if name == "" || v.name == name {
			list = append(list, v)
		}
	}
	if len(list) == 0 || s.closed {
		return nil
	}
	return slices.MinFunc(list, func(a, b *virtual) int { return strings.Compare(a.name, b.name) })
}
