package smtpd

import (
	"crypto/tls"
	"time"
)

// Config is what a listener's connections obey. It is read-only once it is
// given to a [Server]; connections keep the one they started with.
type Config struct {
	// Hostname is the name in the greeting and the EHLO reply; required.
	Hostname string
	// Banner follows the name in the greeting. Empty: "ESMTP Postroad".
	Banner string

	// TLS enables STARTTLS; nil: not offered.
	TLS *tls.Config
	// ImplicitTLS starts every connection with a handshake (RFC 8314 section 3.3).
	ImplicitTLS bool
	// AllowInsecureAuth offers PLAIN and LOGIN in clear; for tests and loopback.
	AllowInsecureAuth bool

	// Without are the extensions that are not offered.
	Without Extensions
	// StrictPaths refuses the two forms people type by hand: a path without
	// angle brackets, and blanks after "FROM:" and "TO:" (RFC 5321 section 3.3
	// allows neither).
	StrictPaths bool

	// MaxMessageSize is in octets; 0: no limit.
	MaxMessageSize int64
	// MaxRecipients is per message; 0: no limit. RFC 5321 section 4.5.3.1.8 asks for 100.
	MaxRecipients int
	// MaxMessages is per connection; 0: no limit.
	MaxMessages int
	// MaxConnections and MaxConnectionsPerClient (by address) bound the server;
	// 0: no limit.
	MaxConnections          int
	MaxConnectionsPerClient int
	// MaxErrors is how many protocol errors end a connection; 0: 10.
	MaxErrors int
	// MaxIdleCommands is how many commands in a row may do nothing for a message
	// (NOOP, RSET, VRFY, HELP, EHLO) before an unauthenticated connection is
	// ended; 0: 100.
	MaxIdleCommands int

	// Timeouts; zero takes the default.
	Timeouts Timeouts
}

// Timeouts of a connection (RFC 5321 section 4.5.3.2).
type Timeouts struct {
	Command   time.Duration // for a whole command line; 5 minutes
	Data      time.Duration // for each block of content; 3 minutes
	Message   time.Duration // for a whole message's content; 2 hours
	Write     time.Duration // for each block of replies; 5 minutes
	Handshake time.Duration // for TLS; 1 minute
}

// Extensions is a set of EHLO keywords.
type Extensions uint16

// The extensions that can be turned off.
const (
	ExtPipelining Extensions = 1 << iota
	ExtDSN
	Ext8BitMIME
	ExtChunking
	ExtSMTPUTF8
	ExtSTARTTLS
	ExtAuth
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
	}
	if c.MaxErrors == 0 {
		c.MaxErrors = 10
	}
	if c.MaxIdleCommands == 0 {
		c.MaxIdleCommands = 100
	}
	t := &c.Timeouts
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Command, 5 * time.Minute},
		{&t.Data, 3 * time.Minute},
		{&t.Message, 2 * time.Hour},
		{&t.Write, 5 * time.Minute},
		{&t.Handshake, time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return &c
}

func (c *Config) offers(e Extensions) bool { return c.Without&e == 0 }
