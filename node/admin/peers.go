package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/transport"
)

// peerTimeout is how long one node may take to answer another's question.
const peerTimeout = 2 * time.Second

// peers keeps a connection to each node that was asked before.
type peers struct {
	list    func() []Peer
	tls     func(node string) *tls.Config
	timeout time.Duration

	mu    sync.Mutex
	conns map[Peer]*grpc.ClientConn
}

func newPeers(c Config, timeout time.Duration) *peers {
	return &peers{list: c.Node.Peers, tls: c.ClientTLS, timeout: cmp.Or(c.PeerTimeout, timeout), conns: make(map[Peer]*grpc.ClientConn)}
}

func (p *peers) conn(to Peer) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[to]; c != nil {
		return c, nil
	}
	c, err := grpc.NewClient("passthrough:///"+to.Address, grpc.WithTransportCredentials(credentials.NewTLS(p.tls(to.Name))))
	if err != nil {
		return nil, err
	}
	p.conns[to] = c
	return c, nil
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// named finds a node by name.
func (p *peers) named(name string) (Peer, bool) {
	for _, n := range p.list() {
		if n.Name == name {
			return n, true
		}
	}
	return Peer{}, false
}

// oneWithin asks one node.
func oneWithin[T any](ctx context.Context, p *peers, to Peer, within time.Duration, ask func(context.Context, grpc.ClientConnInterface) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(onBehalf(ctx), within)
	defer cancel()
	c, err := p.conn(to)
	if err != nil {
		var none T
		return none, err
	}
	return ask(ctx, c)
}

// passOn asks one node in place of the caller, who learns which one is silent.
func passOn[T any](ctx context.Context, p *peers, to Peer, ask func(context.Context, grpc.ClientConnInterface) (T, error)) (T, error) {
	return passOnWithin(ctx, p, to, p.timeout, ask)
}

// passOnWithin is passOn for what takes its time.
func passOnWithin[T any](ctx context.Context, p *peers, to Peer, within time.Duration, ask func(context.Context, grpc.ClientConnInterface) (T, error)) (T, error) {
	within = spared(ctx, within)
	a, err := oneWithin(ctx, p, to, within, ask)
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		err = status.Errorf(codes.Unavailable, "%s at %s: %s", to.Name, to.Address, plain(err, within))
	}
	return a, err
}

type patienceKey struct{}

// patient is for questions that take a node longer than others do.
func patient(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

func (p *peers) patience(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return spared(ctx, max(d, p.timeout))
	}
	return spared(ctx, p.timeout)
}

// lastWord bounds what is kept of the caller's time for the answer to it.
const lastWord = time.Second

// spared is how long a node may take, so that the caller still learns in its own time who
// is silent, and what the others said and did.
func spared(ctx context.Context, d time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		d = min(d, left-min(left/5, lastWord))
	}
	return d
}

// plain is why a node did not answer, without gRPC's frame and without the
// address, which everybody who asked knows.
func plain(err error, within time.Duration) string {
	s := status.Convert(err)
	if s.Code() == codes.DeadlineExceeded {
		return fmt.Sprintf("no answer within %v", within.Round(100*time.Millisecond))
	}
	text, _ := transport.Cause(s.Message())
	if i := strings.LastIndex(text, ": connect: "); i >= 0 {
		text = text[i+len(": connect: "):]
	}
	return text
}

// all asks every other node at the same time. Answers come in no order; missing
// says of each node that did not answer why.
func all[T any](ctx context.Context, p *peers, ask func(context.Context, grpc.ClientConnInterface) (T, error)) (answers map[string]T, missing map[string]string) {
	return allBut(ctx, p, nil, ask)
}

// allBut is all without the nodes that are known not to answer.
func allBut[T any](ctx context.Context, p *peers, silent map[string]string, ask func(context.Context, grpc.ClientConnInterface) (T, error)) (answers map[string]T, missing map[string]string) {
	answers, missing = make(map[string]T), make(map[string]string)
	var mu sync.Mutex
	var wg sync.WaitGroup
	within := p.patience(ctx)
	for _, to := range p.list() {
		if _, ok := silent[to.Name]; ok {
			continue
		}
		wg.Go(func() {
			a, err := oneWithin(ctx, p, to, within, ask)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing[to.Name] = to.Address + ": " + plain(err, within)
				return
			}
			answers[to.Name] = a
		})
	}
	wg.Wait()
	return answers, missing
}
