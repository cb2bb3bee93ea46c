package deliver

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
)

// appendMail writes the MAIL command of a transaction with the parameters that
// the peer knows.
func (s *session) appendMail(b []byte, f *flight) []byte {
	env, ext := f.d.t.Envelope, &s.peer.ext
	b = append(b, "MAIL FROM:<"...)
	b = append(b, f.d.plan.address(f.d.plan.from)...)
	b = append(b, '>')
	if ext.size {
		b = strconv.AppendInt(append(b, " SIZE="...), f.size, 10)
	}
	switch f.d.plan.body {
	case mail.Body8BitMIME:
		b = append(b, " BODY=8BITMIME"...)
	case mail.BodyBinaryMIME:
		b = append(b, " BODY=BINARYMIME"...)
	}
	if f.d.plan.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if f.d.plan.requireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if env.MTPriority != 0 && ext.mtPriority {
		b = strconv.AppendInt(append(b, " MT-PRIORITY="...), int64(env.MTPriority), 10)
	}
	if f.d.plan.by != "" {
		b = append(append(b, " BY="...), f.d.plan.by...)
	}
	if s.passesDSN() {
		if env.Return != "" {
			b = append(append(b, " RET="...), env.Return...)
		}
		if env.EnvelopeID != "" {
			b = appendXtext(append(b, " ENVID="...), env.EnvelopeID)
		}
	}
	if s.peer.hop.Kind == mail.HopNode && ext.passport && s.agent.opts.Passport != nil {
		if v := s.agent.opts.Passport(env, s.peer.hop); v != "" {
			b = append(append(b, " XPOSTROAD="...), v...)
		}
	}
	return append(b, '\r', '\n')
}

// appendRcpt writes the RCPT command of one target.
func (s *session) appendRcpt(b []byte, f *flight, target int) []byte {
	t := &f.d.t.Targets[target]
	b = append(b, "RCPT TO:<"...)
	b = append(b, f.d.plan.address(s.wireAddress(t))...)
	b = append(b, '>')
	if s.passesDSN() {
		if t.Notify != 0 {
			b = appendNotify(append(b, " NOTIFY="...), t.Notify)
		}
		if t.Original != "" {
			b = appendOriginal(append(b, " ORCPT="...), t.Original, f.d.plan.utf8)
		}
	}
	return append(b, '\r', '\n')
}

// passesDSN says whether the peer takes over the duty to report (RFC 3461
// section 5.2). An LMTP host does not: it is the final delivery, and its
// per-recipient replies are what we report from.
func (s *session) passesDSN() bool { return s.peer.ext.dsn && s.peer.hop.Kind != mail.HopLMTP }

func appendNotify(b []byte, n mail.Notify) []byte {
	if n&mail.NotifyNever != 0 {
		return append(b, "NEVER"...)
	}
	start := len(b)
	for _, w := range [...]struct {
		bit  mail.Notify
		word string
	}{{mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if n&w.bit == 0 {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, w.word...)
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// appendXtext encodes by RFC 3461 section 4.
func appendXtext(b []byte, s string) []byte {
	for i := range len(s) {
		b = appendXchar(b, s[i])
	}
	return b
}

func appendXchar(b []byte, c byte) []byte {
	if plainXchar(c) {
		return append(b, c)
	}
	return append(b, '+', upperHex[c>>4], upperHex[c&15])
}

func plainXchar(c byte) bool { return c > ' ' && c < 0x7f && c != '+' && c != '=' }

// appendOriginal writes an ORCPT value, "type;address". One that a client gave is
// encoded already and passes unchanged (RFC 3461 section 5.2.1); what another program
// left unencoded is encoded here. UTF-8 goes as it is where that is allowed (RFC 6533
// section 3).
func appendOriginal(b []byte, s string, native bool) []byte {
	if len(s) > 6 && strings.EqualFold(s[:6], "utf-8;") {
		return appendUnitext(append(b, s[:6]...), s[6:], native)
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0 {
			b = append(b, s[i:i+3]...)
			i += 2
			continue
		}
		b = appendXchar(b, s[i])
	}
	return b
}

// appendUnitext is utf-8-addr-xtext (RFC 6533 section 3), the form that passes
// with and without SMTPUTF8, or, if native, utf-8-addr-unitext, for transactions with
// it. What is encoded already stays so.
func appendUnitext(b []byte, s string, native bool) []byte {
	for i, r := range s {
		if native && r >= utf8.RuneSelf && r != utf8.RuneError {
			b = utf8.AppendRune(b, r)
			continue
		}
		if r < utf8.RuneSelf && (plainXchar(byte(r)) && r != '\\' || strings.HasPrefix(s[i:], `\x{`)) {
			b = append(b, byte(r))
			continue
		}
		b = append(append(b, `\x{`...), strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
		b = append(b, '}')
	}
	return b
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// wireAddress is the mailbox to name in RCPT. Addresses of other types are
// encapsulated for a gateway as Exchange does: IMCEAX400-...@host.
func (s *session) wireAddress(t *mail.Target) mail.Address {
	if t.Foreign == "" || !t.Address.IsZero() {
		return t.Address
	}
	return encapsulate(t.Foreign, s.agent.opts.Hostname)
}

func encapsulate(foreign, domain string) mail.Address {
	typ, rest := mail.AddressType(foreign)
	b := append([]byte("IMCEA"), typ...)
	b = append(b, '-')
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '=':
			b = append(b, c)
		case c == '/':
			b = append(b, '_')
		default:
			b = append(b, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return mail.Address{Local: string(b), Domain: domain}
}
