package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/transport"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// startDialer keeps a stream to n; mu is held.
func (r *Runner) startDialer(n *neighbour) {
	if r.running == nil || n.hangUp != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.running)
	n.hangUp = cancel
	r.sessions.Go(func() { r.dialLoop(ctx, n) })
}

func (r *Runner) dialLoop(ctx context.Context, n *neighbour) {
	unreached := 0
	for failures := 0; r.turn(ctx, n); failures++ {
		began := time.Now()
		err := r.dial(ctx, n, &unreached)
		if ctx.Err() != nil {
			return
		}
		least, most := r.patience()
		if time.Since(began) > most {
			failures = 0 // that stream was a good one
		}
		r.noteFailure(n, err)
		timer := time.NewTimer(jitter(min(least<<min(failures, 16), most), r.conf.Random))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-n.wake:
		}
		timer.Stop()
	}
}

// turn waits until this side has to dial: there is no stream, and for the higher
// of the two GUIDs there has been none for longer than the other side needs to open
// one. False: ctx has ended.
func (r *Runner) turn(ctx context.Context, n *neighbour) bool {
	standsBy := linkstate.GUID(r.conf.Self).Compare(n.guid) > 0
	for ctx.Err() == nil {
		_, most := r.patience()
		r.mu.Lock()
		connected, wait := n.session != nil, n.since.Add(2*most).Sub(r.conf.Now())
		r.mu.Unlock()
		if !connected && (!standsBy || wait <= 0) {
			return true
		}
		if connected {
			wait = time.Hour // or until it is lost
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-n.lost:
		}
		timer.Stop()
	}
	return false
}

// patience bounds the wait between two dials. It follows the keep-alive, so
// that a cluster told to notice deaths quickly notices returns quickly too.
func (r *Runner) patience() (least, most time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keepalive
	return min(max(k/4, 20*time.Millisecond), time.Second), min(max(3*k, 200*time.Millisecond), 15*time.Second)
}

// jitter gives between half of d and all of it.
func jitter(d time.Duration, random func(int) int) time.Duration {
	half := int(d / 2)
	return d - time.Duration(random(half+1))
}

func (r *Runner) noteFailure(n *neighbour, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := err.Error(); n.lastErr != s {
		n.lastErr = s
		r.log.Info("gossip_dial_failed", r.server("peer", n.guid), zap.String("address", n.address), zap.Error(err))
	}
}

// dialGRPC opens one stream, gossips over it until it ends, and tells why it did.
func (r *Runner) dialGRPC(ctx context.Context, n *neighbour) (opened bool, err error) {
	conn, err := r.connect(n)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The handshake has a deadline, the stream has none.
	timer := time.AfterFunc(handshakeTimeout, cancel)
	stream, with, err := r.open(ctx, conn, n.guid)
	if !timer.Stop() {
		return false, fmt.Errorf("no answer within %v", handshakeTimeout)
	}
	if err != nil {
		return false, plain(err)
	}
	s := newSession(ctx, with, stream)
	s.dialled = true
	defer s.end(nil)
	if err := r.attach(s); err != nil {
		return false, err
	}
	cause := plain(s.wait())
	r.detach(s, cause)
	return true, cause
}

func (r *Runner) connect(n *neighbour) (*grpc.ClientConn, error) {
	r.mu.Lock()
	address := n.address
	r.mu.Unlock()
	if address == "" {
		return nil, errors.New("the directory gives no gossip address")
	}
	creds := insecure.NewCredentials()
	if r.conf.ClientTLS != nil {
		c, err := r.conf.ClientTLS(mail.GUID(n.guid))
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(c)
	}
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: handshakeTimeout}))
}

// open begins a stream and makes sure that it leads to the expected server.
func (r *Runner) open(ctx context.Context, conn *grpc.ClientConn, expected linkstate.GUID) (frames, greeting, error) {
	stream, err := linkstatev1.NewGossipServiceClient(conn).Exchange(ctx)
	if err != nil {
		return nil, greeting{}, err
	}
	with, err := r.greet(caller{stream}, expected)
	return caller{stream}, with, err
}

// greet exchanges Hellos and checks that the expected server answered.
func (r *Runner) greet(stream frames, expected linkstate.GUID) (greeting, error) {
	if err := stream.Send(r.hello()); err != nil {
		_, err = stream.Recv() // gRPC tells the reason there
		return greeting{}, err
	}
	f, err := stream.Recv()
	if err != nil {
		return greeting{}, err
	}
	with, err := r.greeted(f)
	if err != nil {
		return greeting{}, err
	}
	if with.server != expected {
		return greeting{}, fmt.Errorf("server %s answered, expected %s", with.server, expected)
	}
	return with, nil
}

// plain removes gRPC's frame around a message.
func plain(err error) error {
	s, ok := status.FromError(err)
	if !ok || s == nil {
		return err
	}
	if s.Message() == "error reading from server: EOF" {
		return errPeerClosed
	}
	text, _ := transport.Cause(s.Message())
	return errors.New(text)
}

// caller adapts the stream of the calling side.
type caller struct {
	grpc.BidiStreamingClient[linkstatev1.ExchangeRequest, linkstatev1.ExchangeResponse]
}

func (c caller) Send(f *linkstatev1.Frame) error {
	return c.BidiStreamingClient.Send(&linkstatev1.ExchangeRequest{Frame: f})
}

func (c caller) Recv() (*linkstatev1.Frame, error) {
	m, err := c.BidiStreamingClient.Recv()
	return m.GetFrame(), err
}
