package deliver

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// ErrNoLinkState: the node does not take link state over its mail port.
var ErrNoLinkState = errors.New("the host does not offer X-LINK2STATE")

// LinkState opens a connection to a node's mail port, as for mail, and makes it
// one for link state by the verb X-LINK2STATE. From then on it is the caller's, who
// speaks first.
func (a *Agent) LinkState(ctx context.Context, hop mail.Hop) (net.Conn, error) {
	if hop.Kind != mail.HopNode {
		return nil, errors.New("link state goes to nodes only, not to " + hop.Name)
	}
	p, err := a.open(ctx, hop, zap.DebugLevel)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.wire.Close() })
	defer stop()
	if !p.ext.linkState {
		p.quit(p.limits.Quit)
		return nil, ErrNoLinkState
	}
	if err := a.turnToLinkState(p); err != nil {
		_ = p.wire.Close()
		return nil, err
	}
	return p.wire.Conn, nil
}

func (a *Agent) turnToLinkState(p *peer) error {
	r, err := p.ask(p.limits.Greeting, "X-LINK2STATE")
	if err != nil {
		return err
	}
	if r.code != 220 {
		return refusedBy(mail.Deferred, statusSecurity, "the host refuses X-LINK2STATE", r)
	}
	if p.in.br.Buffered() > 0 {
		return protocolError("octets before the first frame of this side")
	}
	return p.wire.SetDeadline(time.Time{})
}
