package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/postroad/postroad/node/mail"
)

// open gives a dialog ready for MAIL, with the first of the hop's hosts that
// takes part, or the error that decides for the hop.
// Failures are logged at level: a probe repeats for as long as a link is down.
func (a *Agent) open(ctx context.Context, hop mail.Hop, level zapcore.Level) (*peer, error) {
	list, err := a.endpoints(ctx, hop)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, at := range list {
		p, err := a.connect(ctx, hop, at)
		if err == nil {
			a.log.Debug("connection_opened", zap.String("next_hop", hop.Name), zap.String("virtual_server", hop.VirtualServerName), zap.String("remote", p.remote), zap.Bool("tls", p.tls))
			return p, nil
		}
		if ctx.Err() != nil {
			level = zap.DebugLevel // given up on this side
		}
		a.log.Log(level, "connection_failed", zap.String("next_hop", hop.Name), zap.String("virtual_server", hop.VirtualServerName), zap.String("remote", at.remote()), zap.Error(err))
		a.shaky.failed(at.address, a.opts.Clock())
		failed = worse(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// errPlainNext asks connect for another try without STARTTLS.
var errPlainNext = errors.New("the TLS handshake failed")

// connect opens one endpoint. Opportunistic TLS that fails is not worth less
// than no TLS at all, so it is tried again in the clear.
func (a *Agent) connect(ctx context.Context, hop mail.Hop, at endpoint) (*peer, error) {
	p, err := a.connectOnce(ctx, hop, at)
	if errors.Is(err, errPlainNext) {
		a.log.Info("tls_failed_continuing_in_the_clear", zap.String("next_hop", hop.Name), zap.String("remote", at.remote()), zap.Error(err))
		hop.Options.TLS = mail.TLSNone
		p, err = a.connectOnce(ctx, hop, at)
	}
	return p, err
}

func (a *Agent) connectOnce(ctx context.Context, hop mail.Hop, at endpoint) (*peer, error) {
	set := a.settings(hop)
	limits := a.limits(&set, hop)
	dctx, cancel := context.WithTimeout(ctx, limits.Connect)
	conn, err := a.dial(dctx, &set, hop, at)
	cancel()
	if err != nil {
		o := mail.Defer(mail.StatusNoAnswer, "the host is not responding: "+dialed(err))
		o.Remote, o.At = at.remote(), a.opts.Clock()
		return nil, &ConnectError{Outcome: o, Temporary: true, Err: err}
	}
	p := newPeer(hop, at, conn, limits)
	p.set = set
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := a.greet(ctx, p); err != nil {
		p.dismiss(err)
		return nil, a.asConnectError(p, err)
	}
	return p, nil
}

// dialed is what became of a dial, without the address: that is in the outcome
// already, and a link's reason is short.
func dialed(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err.Error()
	}
	var call *os.SyscallError
	if errors.As(op.Err, &call) {
		return call.Err.Error()
	}
	return op.Err.Error()
}

// asConnectError gives every failure of the opening dialog its outcome.
func (a *Agent) asConnectError(p *peer, err error) error {
	if errors.Is(err, errPlainNext) {
		return err
	}
	var c *ConnectError
	if !errors.As(err, &c) {
		c = &ConnectError{Outcome: lost(err, "the greeting"), Temporary: true, Err: err}
	}
	c.Outcome.Remote, c.Outcome.At = p.remote, a.opts.Clock()
	return c
}

// refusedBy is a refusal in the opening dialog, with what the host said.
func refusedBy(result mail.Result, status mail.Status, what string, r *reply) *ConnectError {
	k := r.keep()
	return refuse(mail.Outcome{Result: result, Status: status, Reply: &k, Text: fmt.Sprintf("%s: %s", what, k)})
}
