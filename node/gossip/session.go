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

// protocol is the version this package speaks. A peer with a higher one talks
// down to it; fields it does not know are kept.
const protocol = 1

// frames is a stream seen from either end.
type frames interface {
	Send(*linkstatev1.Frame) error
	Recv() (*linkstatev1.Frame, error)
}

// session is one open stream with a peer whose identity is certain.
type session struct {
	peer   linkstate.GUID
	stream frames
	out    *outbox
	ctx    context.Context
	end    context.CancelCauseFunc // the first cause stays
}

func newSession(ctx context.Context, peer linkstate.GUID, stream frames) *session {
	s := &session{peer: peer, stream: stream, out: newOutbox()}
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
			if err := s.stream.Send(encodeFrame(f)); err != nil {
				s.end(fmt.Errorf("sending: %w", err))
				return
			}
		}
	}
}

func (r *Runner) hello() *linkstatev1.Frame {
	return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Hello{Hello: &linkstatev1.Hello{
		Organization: r.conf.Organization[:],
		Server:       r.conf.Self[:],
		Protocol:     protocol,
	}}}
}

// greeted checks a peer's Hello and returns who it says it is.
func (r *Runner) greeted(f *linkstatev1.Frame) (linkstate.GUID, error) {
	h := f.GetHello()
	if h == nil {
		return linkstate.GUID{}, errors.New("the first frame is not a Hello")
	}
	organization, err := decodeGUID("organization", h.Organization)
	if err != nil {
		return linkstate.GUID{}, err
	}
	if mail.GUID(organization) != r.conf.Organization {
		return linkstate.GUID{}, fmt.Errorf("greeting of organization %s, this is %s", organization, r.conf.Organization)
	}
	if h.Protocol < protocol {
		return linkstate.GUID{}, fmt.Errorf("greeting with protocol %d, the oldest that works is %d", h.Protocol, protocol)
	}
	return decodeGUID("server", h.Server)
}
