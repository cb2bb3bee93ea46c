package vserver

import (
	"net/netip"
	"time"

	"github.com/postroad/postroad/node/smtpd"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Defaults of the book, chapter 5, where a virtual server says nothing.
const (
	defaultMaxRecipients = 64000
	defaultMaxErrors     = 20
	defaultTimeout       = 10 * time.Minute
	defaultHopCount      = 30
	defaultGreeting      = "Postroad ESMTP"
)

// rules are a virtual server's settings in the form in which they are asked
// for. They are immutable: another configuration makes new ones.
type rules struct {
	name     string
	fqdn     string
	hopCount int
	verify   bool // VRFY answers

	tlsRequired  bool
	authRequired bool
	noBasic      bool

	maxMessageSize int64 // octets; 0: no limit
	maxSessionSize int64

	relay   relayRules
	senders senderFilter
}

func newRules(v directory.VirtualServer, conf *directory.Configuration) *rules {
	server, _ := conf.Server(v.Spec.GetServer())
	r := &rules{
		name:           v.Name,
		fqdn:           firstOf(v.Spec.GetFqdn(), server.Spec.GetFqdn(), server.Name),
		hopCount:       firstOf(int(v.Spec.GetHopCount()), defaultHopCount),
		verify:         v.Spec.GetVerifyRecipients(),
		tlsRequired:    v.Spec.GetTls().GetRequired(),
		authRequired:   v.Spec.GetAuthentication().GetRequired(),
		noBasic:        v.Spec.GetAuthentication().GetNoBasic(),
		maxMessageSize: smaller(v.Spec.GetLimits().GetMaxMessageSize(), conf.Organization().Spec.GetMaxMessageSize()),
		maxSessionSize: v.Spec.GetLimits().GetMaxSessionSize(),
		relay:          newRelayRules(v.Spec.GetRelay(), conf),
		senders:        newSenderFilter(conf),
	}
	return r
}

// engine is the part of the settings that the protocol engine keeps itself.
func (r *rules) engine(v *directoryv1.VirtualServer) smtpd.Config {
	l := v.GetLimits()
	timeout := firstOf(l.GetTimeout().AsDuration(), defaultTimeout)
	return smtpd.Config{
		Hostname:                r.fqdn,
		Banner:                  firstOf(v.GetGreeting(), defaultGreeting),
		ImplicitTLS:             v.GetTls().GetImplicit(),
		MaxMessageSize:          r.maxMessageSize,
		MaxRecipients:           firstOf(int(l.GetMaxRecipients()), defaultMaxRecipients),
		MaxMessages:             int(l.GetMaxMessagesPerConnection()),
		MaxConnections:          int(l.GetMaxConnections()),
		MaxConnectionsPerClient: int(l.GetMaxConnectionsPerAddress()),
		MaxErrors:               firstOf(int(l.GetMaxErrors()), defaultMaxErrors),
		Timeouts:                smtpd.Timeouts{Command: timeout, Data: timeout},
	}
}

// firstOf is the first value that is not zero.
func firstOf[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}

// smaller is the stricter of two limits, of which 0 means none.
func smaller(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// client is what the rules need to know of the other end.
type client struct {
	ip      netip.Addr
	account string // "" if not authenticated as a user
	node    bool
	// revision of the directory that the node had when it sent the message.
	revision int64
}
