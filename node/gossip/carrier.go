package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// Carrier is what a stream to a peer goes over.
type Carrier string

// The carriers of a stream, and CarrierAuto for what a stream may go over: gRPC,
// and the mail port while that cannot be reached.
const (
	CarrierGRPC Carrier = "grpc"
	CarrierSMTP Carrier = "smtp"
	CarrierAuto Carrier = "auto"
)

var errOtherCarrier = errors.New("the connector asks for another carrier now")

// grpcPatience is how many dials by gRPC in a row fail before the mail port is
// tried: one is a peer that starts again.
const grpcPatience = 2

// mailDialTimeout bounds the way to an open stream over the mail port: connect,
// greet, TLS, AUTH.
const mailDialTimeout = 20 * time.Second

// SetCarriers says what streams may go over, for each peer; gRPC alone for those
// that are not named. A stream over what is not allowed any more is ended.
func (r *Runner) SetCarriers(carriers map[mail.GUID]Carrier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carriers = carriers
	for guid, n := range r.neighbours {
		if s := n.session; s != nil && !r.carrierTo(guid).permits(s.carrier) {
			s.end(errOtherCarrier)
		}
		signal(n.wake)
	}
}

// carrierTo is called with mu held.
func (r *Runner) carrierTo(peer linkstate.GUID) Carrier {
	c := r.carriers[mail.GUID(peer)]
	if c == "" || r.conf.DialMail == nil {
		return CarrierGRPC
	}
	return c
}

func (c Carrier) permits(stream Carrier) bool { return c == CarrierAuto || c == stream }

// dial gossips with a peer over what is allowed until the stream ends, and tells
// why it did. unreached counts dials by gRPC in a row that came to nothing.
func (r *Runner) dial(ctx context.Context, n *neighbour, unreached *int) error {
	carrier := r.carrierOf(n)
	if carrier == CarrierSMTP {
		_, err := r.dialMail(ctx, n, unreached)
		return err
	}
	opened, err := r.dialGRPC(ctx, n)
	if opened {
		*unreached = 0
		return err
	}
	*unreached++
	if carrier == CarrierGRPC || *unreached < grpcPatience || ctx.Err() != nil {
		return err
	}
	opened, mailErr := r.dialMail(ctx, n, unreached)
	if opened {
		return mailErr
	}
	return fmt.Errorf("%w; over the mail port: %w", err, mailErr)
}

func (r *Runner) carrierOf(n *neighbour) Carrier {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.carrierTo(n.guid)
}

// dialMail opens a stream over the peer's mail port. Where that is a makeshift, gRPC
// is tried again from time to time, and takes over as soon as it works; then the
// reason is that for which it ended.
func (r *Runner) dialMail(ctx context.Context, n *neighbour, unreached *int) (opened bool, err error) {
	dialling, cancel := context.WithTimeout(ctx, mailDialTimeout)
	conn, err := r.conf.DialMail(dialling, mail.GUID(n.guid))
	cancel()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stream := newPipe(conn, r.conf.Now)
	with, err := withDeadline(ctx, conn, func() (greeting, error) { return r.greet(stream, n.guid) })
	if err != nil {
		return false, err
	}
	s := newSession(ctx, with, stream)
	s.carrier, s.dialled = CarrierSMTP, true
	defer s.end(nil)
	defer context.AfterFunc(s.ctx, func() { conn.Close() })()
	if err := r.attach(s); err != nil {
		return false, err
	}
	again := time.NewTimer(r.regain())
	defer again.Stop()
	for {
		select {
		case <-s.ctx.Done():
			cause := s.wait()
			r.detach(s, cause)
			return true, cause
		case <-again.C:
		}
		if r.carrierOf(n) == CarrierAuto {
			if opened, err := r.leave(ctx, n, s); opened {
				*unreached = 0
				return true, err
			}
		}
		again.Reset(r.regain())
	}
}

// leave gossips by gRPC in place of s. It tries no longer than s is there: the end of that is
// to be noticed at once.
func (r *Runner) leave(ctx context.Context, n *neighbour, s *session) (opened bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, func() {
		if !errors.Is(context.Cause(s.ctx), errReplaced) {
			cancel()
		}
	})()
	return r.dialGRPC(ctx, n)
}

// regain is the time between two attempts to leave the mail port: a minute
// with the default keep-alive.
func (r *Runner) regain() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(max(12*r.keepalive, time.Second), time.Minute)
}

// withDeadline runs a handshake, which ends with ctx and has its time.
func withDeadline(ctx context.Context, conn net.Conn, handshake func() (greeting, error)) (greeting, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return greeting{}, err
	}
	with, err := handshake()
	if err != nil {
		return with, err
	}
	return with, conn.SetDeadline(time.Time{})
}

// AdmitMail says whether a server may gossip with this one over the mail port.
func (r *Runner) AdmitMail(peer mail.GUID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.running == nil:
		return ErrStopped
	case r.neighbours[linkstate.GUID(peer)] == nil:
		return errNotNeighbour
	}
	return nil
}

// ServeMail is the called side of a stream over the mail port: a connection on
// which peer has authenticated. It returns when the stream or ctx ends, and
// closes the connection.
func (r *Runner) ServeMail(ctx context.Context, peer mail.GUID, conn net.Conn) {
	defer conn.Close()
	stream := newPipe(conn, r.conf.Now)
	with, err := withDeadline(ctx, conn, func() (greeting, error) { return r.greetBack(stream, peer) })
	if err != nil {
		r.log.Warn("gossip_refused", r.server("peer", linkstate.GUID(peer)), zap.Stringer("remote", conn.RemoteAddr()), zap.Error(err))
		return
	}
	s := newSession(ctx, with, stream)
	s.carrier, s.dialled = CarrierSMTP, true
	defer s.end(nil)
	defer context.AfterFunc(s.ctx, func() { conn.Close() })()
	if r.attach(s) == nil {
		r.detach(s, s.wait())
	}
}

// greetBack answers the Hello of a caller who is peer.
func (r *Runner) greetBack(stream frames, peer mail.GUID) (greeting, error) {
	f, err := stream.Recv()
	if err != nil {
		return greeting{}, err
	}
	with, err := r.greeted(f)
	if err != nil {
		return with, err
	}
	if with.server != linkstate.GUID(peer) {
		return with, fmt.Errorf("claims to be server %s with the certificate of server %s", with.server, peer)
	}
	if err := r.AdmitMail(peer); err != nil {
		return with, err
	}
	return with, stream.Send(r.hello())
}
