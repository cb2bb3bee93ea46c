package smtpd

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// Config is what a listener's connections obey. It is read-only once it is
// given to a [Server]; connections keep the one they started with.
type Config struct {
	// Hostname is the name in the greeting and the EHLO reply; required.
	Hostname string
	// Banner follows the name in the greeting. Empty: "ESMTP Postroad", or "LMTP
	// Postroad" with LMTP.
	Banner string
	// LMTP makes the server speak LMTP (RFC 2033): LHLO in place of EHLO, and a
	// reply for each recipient after the content.
	LMTP bool

	// TLS enables STARTTLS; nil: not offered.
	TLS *tls.Config
	// ImplicitTLS starts every connection with a handshake (RFC 8314 section 3.3).
	ImplicitTLS bool
	// TLSRequired answers 530 to all commands but NOOP, EHLO, LHLO, STARTTLS and QUIT
	// before TLS (RFC 3207 section 4). MAIL is still the session's to refuse.
	TLSRequired bool
	// AuthRequired answers 530 to VRFY, EXPN and ETRN before AUTH (RFC 4954 section 6).
	// MAIL is the session's to refuse, too. A LOGIN of XCLIENT counts as AUTH.
	AuthRequired bool
	// AllowInsecureAuth offers PLAIN and LOGIN in clear; for tests and loopback.
	AllowInsecureAuth bool

	// Proxies are the networks whose connections begin with a PROXY header of
	// version 1 or 2, which then names the client; from them it is required, from
	// all others it is no command. Empty: none. TLS, also implicit, begins after it.
	Proxies []netip.Prefix
	// XClients are the networks that may send XCLIENT, which replaces what is known
	// of the client; it is looked for among them by its address after PROXY. Empty: none.
	XClients []netip.Prefix

	// Without are the extensions that are not offered. BINARYMIME, REQUIRETLS,
	// and those of [ExtendedSession] are promises that the stages behind the
	// session have to keep.
	Without Extensions
	// StrictPaths refuses the two forms people type by hand: a path without
	// angle brackets, and blanks after "FROM:" and "TO:" (RFC 5321 section 3.3
	// allows neither).
	StrictPaths bool
	// LineEnds and NULs say what becomes of content with a bare CR or LF, or with a
	// NUL; the zero value refuses it. In commands they are always refused.
	LineEnds LineEnds
	NULs     NULs

	// MaxMessageSize is in octets; 0: no limit.
	MaxMessageSize int64
	// MaxHeaderSize bounds the header section of a message, in octets; 0: 1 MiB;
	// negative: no limit.
	MaxHeaderSize int
	// MaxHeaderLines bounds its lines, those of folded fields included; 0: 10,000;
	// negative: no limit.
	MaxHeaderLines int
	// MaxRecipients is per message; 0: no limit. RFC 5321 section 4.5.3.1.8 asks for 100.
	MaxRecipients int
	// MaxRecipientDomains is how many domains the recipients of a message may
	// have; 0: no limit.
	MaxRecipientDomains int
	// MaxMessages is per connection; 0: no limit.
	MaxMessages int
	// MaxHold is how far in the future a message may be released (RFC 4865); 0: FUTURERELEASE is
	// not offered. It is offered to authenticated clients only, and to all of them
	// with HoldForAnyone.
	MaxHold       time.Duration
	HoldForAnyone bool
	// MinDeliverBy is the shortest time that BY=...;R may give (RFC 2852 section 4.1.1), in whole
	// seconds; 0: any.
	MinDeliverBy time.Duration

	// MaxConnections and MaxConnectionsPerClient (by address; IPv6 by /64) bound the
	// server; 0: no limit.
	MaxConnections          int
	MaxConnectionsPerClient int
	// MaxHandshakes is how many TLS handshakes may be under way at once; 0: 1,000.
	MaxHandshakes int
	// MaxErrors is how many protocol errors end a connection; 0: 10.
	MaxErrors int
	// MaxIdleCommands is how many commands since the last accepted message may have done
	// nothing for one (NOOP, RSET, VRFY, HELP, EHLO, ETRN, a refused MAIL) before
	// an unauthenticated connection is ended; 0: 100.
	MaxIdleCommands int
	// MaxRefusedRecipients is how many recipients in a row may be refused for good
	// before an unauthenticated connection is ended: who guesses addresses is to
	// connect anew for each hundred. 0: 100; negative: no limit.
	MaxRefusedRecipients int
	// MaxAuthFailures is how many failed AUTH end a connection; 0: 5; negative: no limit.
	MaxAuthFailures int
	// MaxAuthFailuresPerClient is how many of an address (IPv6: of a /64) within
	// AuthFailureWindow make AUTH answer 454 for the rest of the window; 0: 20;
	// negative: no limit.
	MaxAuthFailuresPerClient int
	// AuthFailureWindow; 0: 10 minutes.
	AuthFailureWindow time.Duration
	// AuthFailureDelay is how long the answer to the second failed AUTH of an address
	// is held back (a slip of the finger costs nothing); each further one doubles it, to
	// 16 times. 0: 1 second; negative: none.
	AuthFailureDelay time.Duration

	// Timeouts; zero takes the default.
	Timeouts Timeouts

	only *tls.Certificate // the one that TLS has, if it has one
}

// Timeouts of a connection (RFC 5321 section 4.5.3.2).
type Timeouts struct {
	Command   time.Duration // for a whole command line; 5 minutes
	Data      time.Duration // for each block of content; 3 minutes
	Message   time.Duration // for a whole message's content; 2 hours
	Write     time.Duration // for each block of replies; 5 minutes
	Handshake time.Duration // for TLS; 1 minute
	Proxy     time.Duration // for the PROXY header; 10 seconds
}

// LineEnds is what is done with a bare CR or a bare LF in content (RFC 5321
// section 2.3.8 allows neither).
type LineEnds uint8

// Policies for bare CR and LF. Neither lets one through, and neither lets it end
// the content: only CRLF.CRLF does.
const (
	// LineEndsReject answers 554 5.6.0 after the content.
	LineEndsReject LineEnds = iota
	// LineEndsRepair makes a bare LF a CRLF and a bare CR a blank, which breaks
	// signatures over the content but no smuggling gets past it. A line that begins with a
	// dot after a bare LF keeps its dot.
	LineEndsRepair
)

// NULs is what is done with a NUL in content.
type NULs uint8

// Policies for NUL.
const (
	// NULsReject answers 554 5.6.0 after the content.
	NULsReject NULs = iota
	// NULsDrop leaves them out (RFC 5322 section 4 calls them obsolete).
	NULsDrop
)

// Extensions is a set of EHLO keywords.
type Extensions uint32

// The extensions that can be turned off.
const (
	ExtPipelining Extensions = 1 << iota
	ExtDSN
	Ext8BitMIME
	ExtChunking
	ExtSMTPUTF8
	ExtSTARTTLS
	ExtAuth
	ExtBinaryMIME // needs ExtChunking (RFC 3030 section 3)
	ExtRequireTLS
	ExtLimits
	ExtDeliverBy
	ExtMTPriority
)

// Limits that are no setting.
const (
	// maxCommandLine, with CRLF: RFC 5321 section 4.5.3.1.4 asks for 512 and each
	// extension adds to it, AUTH and ORCPT 500 each.
	maxCommandLine = 2048
	// maxPassportLine is for MAIL with XPOSTROAD.
	maxPassportLine = 4096
	// maxAuthLine is RFC 4954 section 4's 12,288 octets and CRLF.
	maxAuthLine = 12288 + 2
	// maxDiscardedLine is how much of a line that is too long is read away
	// before the connection is given up.
	maxDiscardedLine = 64 << 10
)

func (c Config) withDefaults() *Config {
	if c.Banner == "" {
		c.Banner = "ESMTP Postroad"
		if c.LMTP {
			c.Banner = "LMTP Postroad"
		}
	}
	or(&c.MaxHeaderSize, 1<<20)
	or(&c.MaxHeaderLines, 10_000)
	or(&c.MaxHandshakes, 1000)
	or(&c.MaxErrors, 10)
	or(&c.MaxIdleCommands, 100)
	or(&c.MaxRefusedRecipients, 100)
	or(&c.MaxAuthFailures, 5)
	or(&c.MaxAuthFailuresPerClient, 20)
	or(&c.AuthFailureWindow, 10*time.Minute)
	or(&c.AuthFailureDelay, time.Second)
	t := &c.Timeouts
	or(&t.Command, 5*time.Minute)
	or(&t.Data, 3*time.Minute)
	or(&t.Message, 2*time.Hour)
	or(&t.Write, 5*time.Minute)
	or(&t.Handshake, time.Minute)
	or(&t.Proxy, 10*time.Second)
	if c.TLS != nil && len(c.TLS.Certificates) == 1 && c.TLS.GetCertificate == nil {
		c.only = &c.TLS.Certificates[0]
	}
	c.TLS = rememberCertificate(c.TLS)
	return &c
}

// or gives a field its default.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) offers(e Extensions) bool { return c.Without&e == 0 }

// lists says whether an address is in one of the networks.
func lists(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
