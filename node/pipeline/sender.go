package pipeline

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/directory"
)

// sendsBy is the virtual server that a hop names. One that is gone, while mail for it is
// on its way to another link, leaves the one that sends all else.
func sendsBy(conf *directory.Configuration, server string, hop mail.Hop) directory.VirtualServer {
	if v, ok := conf.VirtualServerByGUID(directory.GUID(hop.VirtualServer)); ok && v.Spec.GetServer() == server {
		return v
	}
	v, _ := conf.SendsAs(server)
	return v
}

// sendersOf are the retry clocks and limits of a server: of all its virtual servers,
// whether a connector names them or not.
func sendersOf(conf *directory.Configuration, server string) queue.Senders {
	all := queue.Senders{Default: termsOf(conf, sendsBy(conf, server, mail.Hop{})), Own: map[mail.GUID]queue.Terms{}}
	for _, v := range conf.VirtualServersOf(server) {
		all.Own[mail.GUID(v.GUID)] = termsOf(conf, v)
	}
	s, _ := conf.Server(server)
	all.Connections = cmp.Or(int(s.Spec.GetOutbound().GetMaxConnections()), outboundShare())
	return all
}

func termsOf(conf *directory.Configuration, v directory.VirtualServer) queue.Terms {
	return queue.Terms{Clock: clockOf(conf, v), Limits: limitsOf(v)}
}

// settingsOf are a virtual server's settings of delivery at this moment.
func settingsOf(conf *directory.Configuration, v directory.VirtualServer) deliver.Settings {
	o := v.Spec.GetOutbound()
	t := o.GetTimeouts()
	s := deliver.Settings{
		Hostname: v.Spec.GetFqdn(), MaxTransactions: int(o.GetMaxMessagesPerConnection()),
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

// limitsOf are a virtual server's connection limits. On one
// link more connections than the default of the queue pay only where each is
// slow; the virtual server says so by setting its own.
func limitsOf(v directory.VirtualServer) queue.Limits {
	o := v.Spec.GetOutbound()
	return queue.Limits{
		Connections: int(o.GetMaxConnections()), PerLink: int(o.GetMaxConnectionsPerLink()), PerDomain: int(o.GetMaxConnectionsPerDomain()),
	}
}

// clockOf is a virtual server's retry clock.
func clockOf(conf *directory.Configuration, v directory.VirtualServer) queue.Clock {
	t := directory.Retry(v.Spec.GetRetry())
	c := queue.DefaultClock()
	c.First, c.Second, c.Third, c.Subsequent = t.First, t.Second, t.Third, t.Subsequent
	c.DelayNotice, c.Expiration = t.DelayNotice, t.Expiration
	c.Stalled = t.StalledAfter
	c.Stuck = max(c.Stuck, patienceOf(settingsOf(conf, v).Timeouts))
	c.LocalDelayNotice, c.LocalExpiration = t.LocalDelayNotice, t.LocalExpiration
	c.High = queue.Lifetimes{DelayNotice: t.HighDelayNotice, Expiration: t.HighExpiration}
	c.Low = queue.Lifetimes{DelayNotice: t.LowDelayNotice, Expiration: t.LowExpiration}
	// Where no connector says how a glitch is retried (inside a group, the local
	// store), waiting longer for that than for the first real retry is no sense.
	c.GlitchWait = min(c.GlitchWait, c.First)
	return c
}

// patienceOf is how long a delivery with such timeouts may be silent at most: each
// of its waits once, and as much again for the hosts and answers that it tries in
// a row.
func patienceOf(t deliver.Timeouts) time.Duration {
	return 2 * (t.Connect + t.Greeting + t.Mail + t.Rcpt + t.Data + t.Block + t.End)
}
