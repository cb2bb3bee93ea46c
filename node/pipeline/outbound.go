package pipeline

import (
	"context"
	"net/netip"
	"time"

	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/route"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// router is package route as the queues ask for it: a hop with the connector's
// schedule and what the messages ask of the channel.
type router struct {
	*route.Route
	config func() *directory.Configuration
}

// Hop implements queue.Router. A table that is older than the configuration returns
// nothing to its sender: mail that was taken because of what is new waits for the next
// table, which is being built.
func (r router) Hop(dest mail.Destination, class mail.Class, visited []mail.GUID) mail.Hop {
	for {
		newest := r.config() == r.Configuration() // before the hop: a later table is as good
		h := r.Gated(dest, class, visited)
		if newest || h.Kind != mail.HopFail {
			return h
		}
		if r.config() != r.Configuration() {
			return mail.Hop{
				Kind: mail.HopUnreachable, Name: "currently unreachable", TableVersion: h.TableVersion,
				Reason: "the routing table of the newest configuration is being built",
			}
		}
	}
}

// outboundSpec is how a server sends.
func outboundSpec(conf *directory.Configuration, server string) (fqdn string, o *directoryv1.Outbound) {
	v, _ := conf.SendsAs(server)
	return v.Spec.GetFqdn(), v.Spec.GetOutbound()
}

// settingsOf are the settings of delivery at this moment.
func settingsOf(conf *directory.Configuration, server string) deliver.Settings {
	fqdn, o := outboundSpec(conf, server)
	t := o.GetTimeouts()
	s := deliver.Settings{
		Hostname: fqdn, MaxTransactions: int(o.GetMaxMessagesPerConnection()),
		Timeouts: deliver.Timeouts{
			Connect: t.GetConnect().AsDuration(), Greeting: t.GetGreeting().AsDuration(), Mail: t.GetMail().AsDuration(),
			Rcpt: t.GetRecipient().AsDuration(), Data: t.GetData().AsDuration(), Block: t.GetBlock().AsDuration(),
			End: t.GetEnd().AsDuration(), Idle: o.GetIdleTimeout().AsDuration(),
		},
	}
	if name := o.GetHeloName(); name != "" {
		s.Hostname = name
	}
	for _, a := range o.GetSourceAddresses() {
		if ip, err := netip.ParseAddr(a); err == nil { // validated when it was written
			s.Sources = append(s.Sources, ip)
		}
	}
	if d := o.GetMasqueradeDomain(); d != "" {
		s.Masquerade = deliver.Masquerade{Domain: d, Ours: func(domain string) bool {
			ours, _ := conf.Domain(domain)
			return ours
		}}
	}
	return s
}

// limitsOf are a server's connection limits. On one
// link more connections than the default of the queue pay only where each is
// slow; the virtual server says so by setting its own.
func limitsOf(conf *directory.Configuration, server string) queue.Limits {
	_, o := outboundSpec(conf, server)
	return queue.Limits{
		Connections: int(o.GetMaxConnections()), PerLink: int(o.GetMaxConnectionsPerLink()), PerDomain: int(o.GetMaxConnectionsPerDomain()),
	}
}

// runGates tells link state which connectors wait for their schedule, or to be
// asked, until ctx ends: such a one is not down.
func (p *Pipeline) runGates(ctx context.Context) {
	for {
		now := time.Now()
		p.links.SetWaiting(p.routes.Waiting(func(t *mail.Timetable) bool { return t.IsOpen(now) }))
		// Schedules change with the quarters of an hour.
		timer := time.NewTimer(now.Truncate(15 * time.Minute).Add(15 * time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.regate:
			timer.Stop()
		case <-timer.C:
		}
	}
}
