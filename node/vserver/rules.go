package vserver

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Defaults of the book, chapter 5, where a virtual server says nothing.
const (
	defaultMaxRecipients = 64000
	defaultMaxErrors     = 20
	defaultTimeout       = 10 * time.Minute
	defaultGreeting      = "Postroad ESMTP"
	defaultLMTPGreeting  = "Postroad LMTP"
)

// rules are a virtual server's settings in the form in which they are asked
// for. They are immutable: another configuration makes new ones.
type rules struct {
	name     string
	guid     mail.GUID
	fqdn     string
	hopCount int
	verify   bool // VRFY answers
	paused   bool
	reverse  bool // look up each client's name

	admission admission

	implicitTLS  bool
	tlsRequired  bool
	authRequired bool
	noBasic      bool
	noIntegrated bool
	basicInClear bool
	dovecot      string

	maxMessageSize int64 // octets; 0: no limit
	maxSessionSize int64
	// Recipients of one message, and of one message of a sender.
	maxRecipients, senderRecipients int

	relay     relayRules
	filters   filters
	sender    senderRules
	recipient recipientRules
	lists     blockLists
	names     displayNames
}

func newRules(v directory.VirtualServer, conf *directory.Configuration) *rules {
	server, _ := conf.Server(v.Spec.GetServer())
	auth := v.Spec.GetAuthentication()
	return &rules{
		name:           v.Name,
		guid:           mail.GUID(v.GUID),
		fqdn:           firstOf(v.Spec.GetFqdn(), server.Spec.GetFqdn(), server.Name),
		hopCount:       firstOf(int(v.Spec.GetHopCount()), directory.DefaultHopCount),
		verify:         v.Spec.GetVerifyRecipients(),
		paused:         v.Spec.GetState() == directoryv1.RunState_RUN_STATE_PAUSED,
		reverse:        v.Spec.GetReverseLookup(),
		admission:      newAdmission(v.Spec),
		implicitTLS:    v.Spec.GetTls().GetImplicit(),
		tlsRequired:    v.Spec.GetTls().GetRequired(),
		authRequired:   auth.GetRequired(),
		noBasic:        auth.GetNoBasic(),
		noIntegrated:   auth.GetNoIntegrated(),
		basicInClear:   auth.GetBasicInClear(),
		dovecot:        auth.GetDovecotSocket(),
		maxMessageSize: smaller(v.Spec.GetLimits().GetMaxMessageSize(), conf.Organization().Spec.GetMaxMessageSize()),
		maxSessionSize: v.Spec.GetLimits().GetMaxSessionSize(),
		maxRecipients:  firstOf(int(v.Spec.GetLimits().GetMaxRecipients()), defaultMaxRecipients),

		senderRecipients: directory.MaxRecipients(conf.Organization().Spec),
		relay:            newRelayRules(v.Spec.GetRelay(), conf),
		filters:          newFilters(v.Spec.GetFiltering(), conf),
		sender:           newSenderRules(v.Spec.GetSenderPolicy()),
		recipient:        newRecipientRules(v.Spec),
		lists:            newBlockLists(v.Spec.GetBlockLists()),
		names:            newDisplayNames(v.Spec.GetDisplayNames()),
	}
}

// engine is the part of the settings that the protocol engine keeps itself.
func (r *rules) engine(v *directoryv1.VirtualServer) smtpd.Config {
	l, p := v.GetLimits(), v.GetProtocol()
	timeout := firstOf(l.GetTimeout().AsDuration(), defaultTimeout)
	c := smtpd.Config{
		Hostname:                 r.fqdn,
		Banner:                   firstOf(v.GetGreeting(), defaultGreeting),
		LMTP:                     p.GetLmtp(),
		ImplicitTLS:              v.GetTls().GetImplicit(),
		TLSRequired:              r.tlsRequired,
		AuthRequired:             r.authRequired,
		AllowInsecureAuth:        v.GetAuthentication().GetBasicInClear(),
		Proxies:                  parseNetworks(p.GetProxyNetworks()),
		XClients:                 parseNetworks(p.GetXclientNetworks()),
		Without:                  without(p.GetWithout()),
		StrictPaths:              p.GetStrictPaths(),
		MaxMessageSize:           r.maxMessageSize,
		MaxHeaderSize:            int(l.GetMaxHeaderSize()),
		MaxHeaderLines:           int(l.GetMaxHeaderLines()),
		MaxRecipients:            r.maxRecipients,
		MaxRecipientDomains:      int(l.GetMaxRecipientDomains()),
		MaxMessages:              int(l.GetMaxMessagesPerConnection()),
		MaxHold:                  p.GetMaxHold().AsDuration(),
		HoldForAnyone:            p.GetHoldForAnyone(),
		MinDeliverBy:             p.GetMinDeliverBy().AsDuration(),
		MaxConnections:           int(l.GetMaxConnections()),
		MaxConnectionsPerClient:  int(l.GetMaxConnectionsPerAddress()),
		MaxHandshakes:            int(l.GetMaxHandshakes()),
		MaxErrors:                firstOf(int(l.GetMaxErrors()), defaultMaxErrors),
		MaxIdleCommands:          int(l.GetMaxIdleCommands()),
		MaxRefusedRecipients:     int(l.GetMaxRefusedRecipients()),
		MaxAuthFailures:          int(l.GetMaxAuthFailures()),
		MaxAuthFailuresPerClient: int(l.GetMaxAuthFailuresPerAddress()),
		AuthFailureWindow:        l.GetAuthFailureWindow().AsDuration(),
		AuthFailureDelay:         l.GetAuthFailureDelay().AsDuration(),
		Timeouts: smtpd.Timeouts{
			Command: timeout, Data: timeout, Message: l.GetMessageTimeout().AsDuration(), Handshake: l.GetHandshakeTimeout().AsDuration(),
		},
	}
	if p.GetLmtp() && v.GetGreeting() == "" {
		c.Banner = defaultLMTPGreeting
	}
	if p.GetLineEnds() == directoryv1.LinePolicy_LINE_POLICY_REPAIR {
		c.LineEnds = smtpd.LineEndsRepair
	}
	if p.GetNuls() == directoryv1.LinePolicy_LINE_POLICY_REPAIR {
		c.NULs = smtpd.NULsDrop
	}
	return c
}

// without reads EHLO keywords.
func without(keywords []string) smtpd.Extensions {
	var e smtpd.Extensions
	for _, k := range keywords {
		switch strings.ToUpper(k) {
		case "PIPELINING":
			e |= smtpd.ExtPipelining
		case "DSN":
			e |= smtpd.ExtDSN
		case "8BITMIME":
			e |= smtpd.Ext8BitMIME
		case "CHUNKING":
			e |= smtpd.ExtChunking
		case "SMTPUTF8":
			e |= smtpd.ExtSMTPUTF8
		case "STARTTLS":
			e |= smtpd.ExtSTARTTLS
		case "AUTH":
			e |= smtpd.ExtAuth
		case "BINARYMIME":
			e |= smtpd.ExtBinaryMIME
		case "REQUIRETLS":
			e |= smtpd.ExtRequireTLS
		case "LIMITS":
			e |= smtpd.ExtLimits
		case "DELIVERBY":
			e |= smtpd.ExtDeliverBy
		case "MT-PRIORITY":
			e |= smtpd.ExtMTPriority
		}
	}
	return e
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
	host    *host  // its name, when it is asked for; nil: it has none
	account string // "" if not authenticated as a user
	node    bool
	// revision of the directory that the node had when it sent the message.
	revision int64
}

// stranger is who has not said who he is.
func (c client) stranger() bool { return !c.node && c.account == "" }
