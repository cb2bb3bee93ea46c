package pipeline

import (
	"context"
	"net"
	"slices"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
)

// triggers is the queues as virtual servers ask for them: mail that waits to be
// asked for, by connector and domain.
type triggers struct{ p *Pipeline }

// match gives the queues of those connectors and domains. Mailboxes of other groups
// have no domain of their own; they come with all that a connector has.
func match(connectors []mail.GUID, domain func(string) bool) func(queue.Key, mail.Hop) bool {
	return func(k queue.Key, h mail.Hop) bool {
		return h.Options.Remote && slices.Contains(connectors, h.Connector) && domain(k.Destination.Domain)
	}
}

// Start implements vserver.Triggers.
func (t triggers) Start(connectors []mail.GUID, domain func(string) bool) int {
	_, n := t.p.queues.Trigger(match(connectors, domain))
	return int(n)
}

// Stopped implements vserver.Triggers.
func (t triggers) Stopped(connectors []mail.GUID, domain func(string) bool) bool {
	return t.p.queues.Withheld(match(connectors, domain))
}

// Hand implements vserver.Triggers. What asked for REQUIRETLS goes by connections
// that this node opens, and proves, itself.
func (t triggers) Hand(connectors []mail.GUID, domain func(string) bool) (func(context.Context, net.Conn), bool) {
	mine := func(k queue.Key, h mail.Hop) bool { return match(connectors, domain)(k, h) && !k.Class.RequireTLS }
	if !t.p.queues.Offers(mine) {
		return nil, false
	}
	return func(ctx context.Context, conn net.Conn) {
		t.p.queues.Hand(ctx, mine, func(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
			err := t.p.agent.ServeConn(ctx, conn, hop, feed)
			if err != nil {
				t.p.cfg.Logger.Named("deliver").Info("turned_connection_failed", zap.String("next_hop", hop.Name), zap.Error(err))
			}
			return err
		})
	}, true
}
