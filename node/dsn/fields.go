package dsn

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// maxField keeps a line of the report under the 998 octets of RFC 5322 section
// 2.1.1; remote hosts may say more in a reply.
const maxField = 900

// cut shortens what is too long for a line.
func cut(s string) string {
	if len(s) <= maxField {
		return s
	}
	return strings.ToValidUTF8(s[:maxField], "") + "..."
}

// status writes the fields of RFC 3464: one group about the message, one for each
// recipient.
func (w *writer) status() string {
	var b strings.Builder
	in := w.in
	// A field without a value is worse than none: "Remote-MTA: dns;" is no field.
	field := func(name, value string) {
		value = strings.TrimSpace(cut(clean(value, !w.global)))
		if typ, rest, ok := strings.Cut(value, ";"); value == "" || ok && typedField(name) && (typ == "" || strings.TrimSpace(rest) == "") {
			return
		}
		b.WriteString(name + ": " + value + "\r\n")
	}
	if id := in.Envelope.EnvelopeID; id != "" {
		field("Original-Envelope-Id", id)
	}
	field("Reporting-MTA", "dns; "+in.ReportingMTA)
	if in.Envelope.ClientName != "" {
		field("Received-From-MTA", "dns; "+in.Envelope.ClientName)
	}
	if !in.Envelope.Received.IsZero() {
		field("Arrival-Date", date(in.Envelope.Received))
	}
	for i := range in.Recipients {
		b.WriteString("\r\n")
		w.recipient(field, &in.Recipients[i])
	}
	return b.String()
}

// typedField says whether the value is "type; value" (RFC 3464 section 2.1.2).
func typedField(name string) bool {
	return strings.HasSuffix(name, "-MTA") || strings.HasSuffix(name, "-Recipient") || name == "Diagnostic-Code"
}

func (w *writer) recipient(field func(name, value string), r *Recipient) {
	o := &r.Outcome
	if r.Target.Original != "" {
		field("Original-Recipient", originalRecipient(r.Target.Original, w.global))
	}
	field("Final-Recipient", w.finalRecipient(&r.Target))
	field("Action", w.in.Kind.action())
	field("Status", statusOf(w.in.Kind, o).String())
	if host := remoteHost(o.Remote); host != "" {
		field("Remote-MTA", "dns; "+host)
	}
	switch {
	case o.Reply != nil:
		field("Diagnostic-Code", "smtp; "+o.Reply.String())
	case o.Text != "" && w.in.Kind <= Delay:
		field("Diagnostic-Code", "x-postroad; "+o.Text)
	}
	if !o.At.IsZero() {
		field("Last-Attempt-Date", date(o.At))
	}
	field("Final-Log-ID", w.in.Envelope.ID.String())
	if w.in.Kind == Delay && !w.in.Until.IsZero() {
		field("Will-Retry-Until", date(w.in.Until))
	}
}

// statusOf is the outcome's status, of a class that agrees with the action (RFC 3464
// section 2.3.4): hosts may answer "550 4.7.1".
func statusOf(k Kind, o *mail.Outcome) mail.Status {
	s := o.Status
	switch {
	case k >= Success && s.Class != 2:
		return mail.StatusOK
	case k == Delay:
		s.Class = 4
	case k == Failure && s.Class != 4:
		s.Class = 5
	}
	return s
}

func (w *writer) finalRecipient(t *mail.Target) string {
	if t.Foreign != "" {
		typ, rest := mail.AddressType(t.Foreign)
		return strings.ToLower(typ) + "; " + rest
	}
	if !t.Address.IsASCII() {
		return "utf-8; " + utf8Address(t.Address.String(), w.global)
	}
	return "rfc822; " + t.Address.String()
}

// utf8Address writes an address of the type utf-8 (RFC 6533 section 3): unitext, in
// which only what would be mistaken is written \x{HEX}, or, for fields in ASCII, xtext.
func utf8Address(s string, unitext bool) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(s, "?") {
		switch {
		case c <= ' ' || c == 0x7f || c == '+' || c == '=' || c == '\\', c >= 0x80 && !unitext:
			fmt.Fprintf(&b, `\x{%02X}`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// originalRecipient decodes an ORCPT value (RFC 3461 section 6.3 wants it as the
// sender wrote it). A value that was never encoded passes unchanged, and so do the
// escapes of the type utf-8, which stay in reports (RFC 6533 section 3).
func originalRecipient(s string, unitext bool) string {
	typ, address, ok := strings.Cut(s, ";")
	if !ok {
		return "rfc822; " + s
	}
	if strings.EqualFold(typ, "utf-8") {
		var b strings.Builder
		for _, c := range strings.ToValidUTF8(address, "?") {
			if c >= 0x80 && !unitext {
				fmt.Fprintf(&b, `\x{%02X}`, c)
			} else {
				b.WriteRune(c)
			}
		}
		return typ + "; " + b.String()
	}
	var b strings.Builder
	for i := 0; i < len(address); i++ {
		if c, ok := hexPair(address[i:]); ok {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(address[i])
	}
	return typ + "; " + b.String()
}

// hexPair decodes "+HH" at the start of s, if HH stands for a character that
// xtext must encode (RFC 3461 section 4); other plus signs are the address's own.
func hexPair(s string) (byte, bool) {
	const digits = "0123456789ABCDEF"
	if len(s) < 3 || s[0] != '+' {
		return 0, false
	}
	hi, lo := strings.IndexByte(digits, s[1]), strings.IndexByte(digits, s[2])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	c := byte(hi<<4 | lo)
	return c, c <= ' ' || c >= 0x7f || c == '+' || c == '='
}

// remoteHost is the host name of "mx.example.com [192.0.2.1]:25", or its address
// in brackets if it has no name.
func remoteHost(remote string) string {
	host, _, _ := strings.Cut(remote, " ")
	if strings.HasPrefix(host, "[") {
		if i := strings.LastIndexByte(host, ']'); i > 0 {
			host = host[:i+1]
		}
	}
	return host
}
