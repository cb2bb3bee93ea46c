package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Why a stream ends, beside what the network says.
var (
	errPeerClosed   = errors.New("the peer closed the stream")
	errReplaced     = errors.New("a newer stream to the same server took its place")
	errNotNeighbour = errors.New("not neighbours, as the directory is known here")
)

// frames is a stream seen from either end.
type frames interface {
	Send(*linkstatev1.Frame) error
	Recv() (*linkstatev1.Frame, error)
}

// session is one open stream with a peer whose identity is certain.
type session struct {
	peer     linkstate.GUID
	protocol uint32 // highest that the peer speaks
	carrier  Carrier
	dialled  bool // by this node
	stream   frames
	out      *outbox
	ctx      context.Context
	end      context.CancelCauseFunc // the first cause stays
}

func newSession(ctx context.Context, with greeting, stream frames) *session {
	s := &session{peer: with.server, protocol: with.protocol, carrier: CarrierGRPC, stream: stream, out: newOutbox()}
	s.ctx, s.end = context.WithCancelCause(ctx)
	return s
}

// wait blocks until the session ends and tells why.
func (s *session) wait() error {
	<-s.ctx.Done()
	return context.Cause(s.ctx)
}

// read ends when the stream does: whoever waits for the session has to close
// the stream then.
func (s *session) read(r *Runner) {
	defer r.sessions.Done()
	for {
		wire, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errPeerClosed
		}
		if err != nil {
			s.end(err)
			return
		}
		f, err := decodeFrame(wire)
		if err != nil {
			r.log.Warn("gossip_bad_frame", r.server("peer", s.peer), zap.Error(err))
			s.end(err)
			return
		}
		if f != nil {
			r.receive(s, f)
		}
	}
}

// write blocks when the peer reads slowly; meanwhile the outbox coalesces.
func (s *session) write(r *Runner) {
	defer r.sessions.Done()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.out.ready:
		}
		for _, f := range s.out.take() {
			if k, ok := f.(*linkstate.Keepalive); ok {
				load := r.conf.Load()
				f = &linkstate.Keepalive{Hash: k.Hash, Revision: load.DirectoryRevision, Queued: load.Queued}
			}
			wire := encodeFrame(f)
			if err := s.stream.Send(wire); err != nil {
				s.end(fmt.Errorf("sending: %w", err))
				return
			}
			r.sent.count(f, wire)
		}
	}
}

func (r *Runner) hello() *linkstatev1.Frame {
	return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Hello{Hello: &linkstatev1.Hello{
		Organization: r.conf.Organization[:],
		Server:       r.conf.Self[:],
		Protocol:     r.protocol,
	}}}
}

// greeting is what a Hello says.
type greeting struct {
	server   linkstate.GUID
	protocol uint32
}

// greeted checks a peer's Hello and returns who it says it is.
func (r *Runner) greeted(f *linkstatev1.Frame) (greeting, error) {
	h := f.GetHello()
	if h == nil {
		return greeting{}, errors.New("the first frame is not a Hello")
	}
	organization, err := decodeGUID("organization", h.Organization)
	if err != nil {
		return greeting{}, err
	}
	if mail.GUID(organization) != r.conf.Organization {
		return greeting{}, fmt.Errorf("greeting of organization %s, this is %s", organization, r.conf.Organization)
	}
	if h.Protocol < linkstate.OldestProtocol {
		return greeting{}, fmt.Errorf("greeting with protocol %d, the oldest that works is %d", h.Protocol, linkstate.OldestProtocol)
	}
	server, err := decodeGUID("server", h.Server)
	return greeting{server, h.Protocol}, err
}
