package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	field := func(name, value string, more ...string) {
		value = strings.TrimSpace(cut(clean(value, !w.global)))
		if typ, rest, ok := strings.Cut(value, ";"); value == "" || ok && typedField(name) && (typ == "" || strings.TrimSpace(rest) == "") {
			return
		}
		b.WriteString(name + ": " + value + "\r\n")
		for _, line := range more {
			if line = strings.TrimSpace(cut(clean(line, !w.global))); line != "" {
				b.WriteString(" " + line + "\r\n")
			}
		}
	}
	if id := in.Envelope.EnvelopeID; id != "" {
		field("Original-Envelope-Id", id)
	}
	field("Reporting-MTA", "dns; "+in.ReportingMTA)
	field("Received-From-MTA", "dns; "+receivedFrom(in.Envelope))
	if !in.Envelope.Received.IsZero() {
		field("Arrival-Date", date(in.Envelope.Received))
	}
	if by := in.Envelope.DeliverBy; !by.IsZero() {
		field("Deliver-By-Date", date(by.Deadline)) // RFC 2852 section 5
	}
	// RFC 4865: in the form in which it was asked for.
	if d := in.Envelope.HoldFor; d > 0 {
		field("Future-Release-Request", "for; "+strconv.FormatInt(int64(d/time.Second), 10))
	} else if hold := in.Envelope.HoldUntil; !hold.IsZero() {
		field("Future-Release-Request", "until; "+hold.UTC().Format(time.RFC3339))
	}
	for i := range in.Recipients {
		b.WriteString("\r\n")
		w.recipient(field, &in.Recipients[i])
	}
	return b.String()
}

// receivedFrom is what the client called itself, and its address as a comment (RFC
// 3464 section 2.2.4); the address alone if it gave no name that could stand there.
func receivedFrom(env *mail.Envelope) string {
	name, host := env.ClientName, env.ClientHost
	switch {
	case host == "":
		return name
	case name == "" || strings.ContainsAny(name, "();"):
		return "[" + host + "]"
	}
	return name + " (" + host + ")"
}

// typedField says whether the value is "type; value" (RFC 3464 section 2.1.2).
func typedField(name string) bool {
	return strings.HasSuffix(name, "-MTA") || strings.HasSuffix(name, "-Recipient") || name == "Diagnostic-Code"
}

func (w *writer) recipient(field func(name, value string, more ...string), r *Recipient) {
	o := &r.Outcome
	final, actual := w.recipients(&r.Target)
	// RFC 3461 section 6.3 (d): the sender's ORCPT or none, not one that goes to the
	// next host for a recipient that was redirected here.
	if original := w.given(&r.Target).Original; original != "" {
		field("Original-Recipient", originalRecipient(original, w.global))
	}
	field("Final-Recipient", final)
	field("Action", w.in.Kind.action())
	field("Status", statusOf(w.in.Kind, o).String())
	if host := remoteHost(o.Remote); host != "" {
		field("Remote-MTA", "dns; "+host)
	}
	switch {
	case o.Reply != nil:
		lines := diagnostic(o.Reply)
		field("Diagnostic-Code", lines[0], lines[1:]...)
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
	if actual != final {
		field("X-Actual-Recipient", actual) // RFC 3464 section 2.4
	}
}

// given is the RCPT that a target comes from, or, where that is not known, what the
// target itself says.
func (w *writer) given(t *mail.Target) mail.Recipient {
	if i := t.Recipient; i >= 0 && i < len(w.in.Envelope.Recipients) {
		return w.in.Envelope.Recipients[i]
	}
	return mail.Recipient{Address: t.Address, Original: t.Original}
}

// recipients are the recipient as this server accepted it (RFC 3464 section 2.3.2),
// and what it was resolved to: another for who is redirected and for members of groups.
func (w *writer) recipients(t *mail.Target) (final, actual string) {
	actual = w.resolvedTo(t)
	if given := w.given(t).Address; !given.IsZero() {
		return w.typed(given), actual
	}
	return actual, actual
}

func (w *writer) resolvedTo(t *mail.Target) string {
	if t.Foreign != "" {
		typ, rest := mail.AddressType(t.Foreign)
		return strings.ToLower(typ) + "; " + rest
	}
	return w.typed(t.Address)
}

func (w *writer) typed(a mail.Address) string {
	if a.IsASCII() {
		return "rfc822; " + a.String()
	}
	if w.global {
		return "utf-8; " + a.String() // the form utf-8-address (RFC 6533 section 4.1)
	}
	return "utf-8; " + unitext(a.String())
}

// maxDiagnostic is how many lines of a reply a report gives.
const maxDiagnostic = 50

// diagnostic is a reply as it came, in the lines in which the field gives it (RFC 3461
// section 9.2).
func diagnostic(r *mail.Reply) []string {
	if len(r.Lines) < 2 || len(r.Lines) > maxDiagnostic {
		return []string{"smtp; " + r.String()}
	}
	list := make([]string, len(r.Lines))
	for i, l := range r.Lines {
		one := mail.Reply{Code: r.Code, Status: r.Status, Lines: []string{l}}.String()
		if code, rest, ok := strings.Cut(one, " "); ok && i < len(r.Lines)-1 {
			one = code + "-" + rest
		}
		list[i] = one
	}
	list[0] = "smtp; " + list[0]
	return list
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

// unitext writes an address of the type utf-8 in ASCII (RFC 6533 section 3,
// utf-8-addr-xtext).
func unitext(s string) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(s, "?") {
		switch {
		case c <= ' ' || c >= 0x7f || c == '+' || c == '=' || c == '\\':
			fmt.Fprintf(&b, `\x{%02X}`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// fromUnitext takes the escapes out of an address of the type utf-8. What it gives is
// no address if s was none of that type: then s has to stay as it is (RFC 6533 section 3).
func fromUnitext(s string) (string, bool) {
	var b strings.Builder
	for s != "" {
		head, rest, found := strings.Cut(s, `\x{`)
		b.WriteString(head)
		if !found {
			break
		}
		point, after, closed := strings.Cut(rest, "}")
		c, err := strconv.ParseUint(point, 16, 32)
		if !closed || err != nil || !utf8.ValidRune(rune(c)) || c > unicode.MaxRune {
			return "", false
		}
		b.WriteRune(rune(c))
		s = after
	}
	a, err := mail.ParseAddress(b.String())
	return b.String(), err == nil && !strings.ContainsFunc(a.Local+a.Domain, unicode.IsControl)
}

// originalRecipient decodes an ORCPT value: xtext for all types (RFC 3461 section 6.3
// (d)) but utf-8, which is written as an address where the report may hold UTF-8, and
// in ASCII elsewhere (RFC 6533 sections 3 and 4.1).
func originalRecipient(s string, global bool) string {
	typ, address, ok := strings.Cut(s, ";")
	if !ok {
		return "rfc822; " + s
	}
	if strings.EqualFold(typ, "utf-8") {
		if plain, ok := fromUnitext(address); ok && global {
			return typ + "; " + plain
		}
		var b strings.Builder
		for _, c := range strings.ToValidUTF8(address, "?") {
			if c >= 0x80 && !global {
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

// hexPair decodes "+HH" at the start of s (RFC 3461 section 4).
func hexPair(s string) (byte, bool) {
	const digits = "0123456789ABCDEF"
	if len(s) < 3 || s[0] != '+' {
		return 0, false
	}
	hi, lo := strings.IndexByte(digits, s[1]), strings.IndexByte(digits, s[2])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
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
