package dsn

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// writer holds what was decided about one report before its first octet.
type writer struct {
	in       *Input
	to       mail.Address
	returned []byte // what part three holds
	whole    bool   // it is the whole message
	global   bool   // the forms of RFC 6533
	eightBit bool   // some octet is above 127
	boundary string
	b        bytes.Buffer
}

func newWriter(in *Input, to mail.Address) *writer {
	w := &writer{in: in, to: to}
	w.choose()
	w.global = w.needsUTF8()
	w.eightBit = !isASCII(w.returned) || !to.IsASCII()
	w.boundary = "report/" + in.ID.String()
	for bytes.Contains(w.returned, []byte("--"+w.boundary)) {
		w.boundary += "+"
	}
	return w
}

// choose decides what of the message comes back: RET counts for failures only
// (RFC 3461 section 4.3), of a message that asked for REQUIRETLS only the header
// does (RFC 8689 section 5), and binary content has no place in a report of lines.
func (w *writer) choose() {
	in := w.in
	if in.Original == nil {
		return
	}
	w.whole = in.Kind == Failure && in.Complete && in.Envelope.Return != "HDRS" && !in.Envelope.RequireTLS &&
		len(in.Original) <= MaxReturn && in.Envelope.Body != mail.BodyBinaryMIME
	w.returned = in.Original
	if !w.whole {
		w.returned = header(in.Original)
	}
}

// needsUTF8 says whether the report takes the forms of RFC 6533: for a sender who
// can read them, having sent such mail, and where ASCII does not do. For others
// addresses are written in ASCII (section 3, utf-8-addr-xtext).
func (w *writer) needsUTF8() bool {
	if !w.to.IsASCII() {
		return true
	}
	if !w.in.Envelope.UTF8 {
		return false
	}
	for _, r := range w.in.Recipients {
		if given := w.given(&r.Target); !r.Target.Address.IsASCII() || !given.Address.IsASCII() || needsUnitext(given.Original) {
			return true
		}
	}
	return !isASCII(header(w.in.Original))
}

// needsUnitext says whether an ORCPT value has characters beyond ASCII, escaped or not.
func needsUnitext(original string) bool {
	typ, address, _ := strings.Cut(original, ";")
	if !strings.EqualFold(typ, "utf-8") {
		return false
	}
	plain, ok := fromUnitext(address)
	return ok && !isASCII(plain)
}

func (w *writer) messageID() string { return w.in.ID.String() + "@" + w.in.ReportingMTA }

func (w *writer) message() []byte {
	words := w.words()
	if !isASCII(words) {
		w.eightBit = true
	}
	status := w.status()
	if !isASCII(status) {
		w.eightBit = true
	}
	w.header()
	w.part("text/plain; charset=utf-8", encodingOf(words), words)
	typ := "message/delivery-status"
	if w.global {
		typ = "message/global-delivery-status"
	}
	w.part(typ, encodingOf(status), status)
	w.original()
	fmt.Fprintf(&w.b, "--%s--\r\n", w.boundary)
	return w.b.Bytes()
}

func (w *writer) header() {
	in := w.in
	from := in.Postmaster
	if from.IsZero() || !from.IsASCII() && !w.global {
		from = mail.Address{Local: "postmaster", Domain: in.ReportingMTA}
	}
	w.line("From: Mail Delivery System <%s>", from)
	w.line("To: %s", w.to)
	w.line("Subject: %s", w.subject())
	w.line("Date: %s", date(in.Now))
	w.line("Message-ID: <%s>", w.messageID())
	if id := in.Envelope.MessageID; id != "" && isASCII(id) && len(id) <= maxField {
		w.line("In-Reply-To: <%s>", clean(id, true))
	}
	w.line("Auto-Submitted: auto-replied") // RFC 3834 section 5
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/report; report-type=%s;", w.reportType())
	w.line("\tboundary=\"%s\"", w.boundary)
	w.line("Content-Transfer-Encoding: %s", w.encoding())
	w.line("")
	w.line("This is a report about a message, in the format of RFC 6522.")
	w.line("")
}

func (w *writer) reportType() string {
	if w.global {
		return "global-delivery-status"
	}
	return "delivery-status"
}

func (w *writer) encoding() string {
	if w.eightBit {
		return "8bit"
	}
	return "7bit"
}

func encodingOf[T string | []byte](b T) string {
	if isASCII(b) {
		return "7bit"
	}
	return "8bit"
}

// original writes part three: the message or its header.
func (w *writer) original() {
	if w.in.Original == nil {
		return
	}
	typ := "text/rfc822-headers"
	switch {
	case w.whole && w.global:
		typ = "message/global"
	case w.whole:
		typ = "message/rfc822"
	case w.global:
		typ = "message/global-headers"
	}
	w.part(typ, encodingOf(w.returned), string(w.returned))
}

func (w *writer) part(typ, encoding, body string) {
	w.line("--%s", w.boundary)
	w.line("Content-Type: %s", typ)
	w.line("Content-Transfer-Encoding: %s", encoding)
	w.line("")
	w.b.WriteString(body)
	if !strings.HasSuffix(body, "\r\n") {
		w.b.WriteString("\r\n")
	}
	// The CRLF before a boundary belongs to the boundary (RFC 2046 section 5.1.1).
	w.b.WriteString("\r\n")
}

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteString("\r\n")
}

// date is RFC 5322 section 3.3.
func date(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// clean takes line ends and other control characters out of text that came from
// elsewhere; ascii also what is not ASCII.
func clean(s string, ascii bool) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c < ' ' || c == 0x7f:
			return ' '
		case ascii && c >= 0x80:
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

func (w *writer) subject() string {
	switch w.in.Kind {
	case Delay:
		return "Delivery delayed"
	case Success:
		return "Delivered"
	case Relayed:
		if w.traced() {
			return "Passed on"
		}
		return "Relayed to a system that does not report deliveries"
	case Expanded:
		return "Delivered to a distribution list"
	}
	return "Undeliverable mail"
}
