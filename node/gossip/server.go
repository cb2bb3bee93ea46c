package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// RegisterService puts GossipService on a server that somebody else runs. That
// server must be stopped after Run has returned, or its handlers end with it.
func (r *Runner) RegisterService(s grpc.ServiceRegistrar) {
	linkstatev1.RegisterGossipServiceServer(s, r)
}

// serve runs the own server, if there is a listener, and returns how to stop it.
func (r *Runner) serve() func() error {
	if r.conf.Listener == nil {
		return func() error { return nil }
	}
	options := []grpc.ServerOption{grpc.ConnectionTimeout(handshakeTimeout), grpc.WaitForHandlers(true)}
	if r.conf.ServerTLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(r.conf.ServerTLS)))
	}
	s := grpc.NewServer(options...)
	r.RegisterService(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(r.conf.Listener) }()
	return func() error {
		s.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("gossip listener %s: %w", r.conf.Listener.Addr(), err)
		}
		return nil
	}
}

// Exchange is the called side of a stream.
func (r *Runner) Exchange(stream grpc.BidiStreamingServer[linkstatev1.ExchangeRequest, linkstatev1.ExchangeResponse]) error {
	caller, err := r.admit(called{stream})
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	s := newSession(stream.Context(), caller, called{stream})
	defer s.end(nil)
	if err := stream.Send(&linkstatev1.ExchangeResponse{Frame: r.hello()}); err != nil {
		return err
	}
	if err := r.attach(s); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	cause := s.wait()
	r.detach(s, cause)
	// Returning closes the stream, which ends read and write.
	return status.Error(codes.Unavailable, cause.Error())
}

// admit reads the caller's Hello and makes sure that it is who it says, and
// wanted here.
func (r *Runner) admit(stream called) (greeting, error) {
	f, err := firstFrame(stream)
	if err != nil {
		return greeting{}, err
	}
	caller, err := r.greeted(f)
	if err != nil {
		return caller, err
	}
	if err := r.identify(stream.Context(), caller.server); err != nil {
		return caller, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.neighbours[caller.server] == nil {
		return caller, errNotNeighbour
	}
	return caller, nil
}

// identify compares what a caller says with what its certificate says.
func (r *Runner) identify(ctx context.Context, caller linkstate.GUID) error {
	if r.conf.Identify == nil {
		return nil
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return errors.New("the stream has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return errors.New("the stream is not encrypted by TLS")
	}
	holder, err := r.conf.Identify(info.State)
	if err != nil {
		return err
	}
	if holder != mail.GUID(caller) {
		return fmt.Errorf("claims to be server %s with the certificate of server %s", caller, holder)
	}
	return nil
}

// firstFrame waits for the Hello, but not for ever. When it gives up, the
// handler returns, which ends the Recv.
func firstFrame(stream frames) (*linkstatev1.Frame, error) {
	type result struct {
		frame *linkstatev1.Frame
		err   error
	}
	got := make(chan result, 1)
	go func() {
		f, err := stream.Recv()
		got <- result{f, err}
	}()
	timer := time.NewTimer(handshakeTimeout)
	defer timer.Stop()
	select {
	case g := <-got:
		return g.frame, g.err
	case <-timer.C:
		return nil, fmt.Errorf("no Hello within %v", handshakeTimeout)
	}
}

// called adapts the stream of the called side.
type called struct {
	grpc.BidiStreamingServer[linkstatev1.ExchangeRequest, linkstatev1.ExchangeResponse]
}

func (c called) Send(f *linkstatev1.Frame) error {
	return c.BidiStreamingServer.Send(&linkstatev1.ExchangeResponse{Frame: f})
}

func (c called) Recv() (*linkstatev1.Frame, error) {
	m, err := c.BidiStreamingServer.Recv()
	return m.GetFrame(), err
}
