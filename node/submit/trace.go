package submit

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// dateTime is the date-time of RFC 5322 section 3.3.
const dateTime = "Mon, 02 Jan 2006 15:04:05 -0700"

// maxReturns is how often a message may come back to a node: over a gateway that
// looks into it, a forwarding outside, a list, and one of them once more. RFC 5321
// section 6.3 wants trivial loops found by other means than a large count of hops.
const maxReturns = 4

// markOf is the comment by which a node knows its trace fields again: the same in
// every run, of no other node, and it says nothing about the host. Several nodes may
// give one host name, so the name would not do.
func markOf(node mail.GUID) []byte {
	if node.IsZero() {
		return nil
	}
	sum := sha256.Sum256(node[:])
	return fmt.Appendf(nil, "(node %x)", sum[:4])
}

// appendReceived appends the time stamp line of RFC 5321 section 4.4, folded so
// that no line comes near the limit of 998 octets.
func appendReceived(b []byte, s *mail.Submission, mark []byte) []byte {
	e := s.Envelope
	b = append(b, "Received: "...)
	if from := fromDomain(e.ClientName, e.ClientHost, s.HostName); from != "" {
		b = append(append(append(b, "from "...), from...), "\r\n\t"...)
	}
	b = append(append(b, "by "...), s.By...)
	if len(mark) > 0 {
		b = append(append(b, ' '), mark...)
	}
	if s.With != "" {
		b = append(append(b, " with "...), s.With...)
	}
	if s.Cipher != "" {
		b = append(append(append(b, " ("...), s.Cipher...), ')')
	}
	b = e.ID.AppendTo(append(b, " id "...))
	// RFC 5321 section 7.6: to name one of several recipients would tell the
	// others about it. RFC 6531 section 3.7.3: UTF-8 only where it was asked for.
	if len(e.Recipients) == 1 && (e.UTF8 || e.Recipients[0].Address.IsASCII()) {
		b = append(append(append(b, "\r\n\tfor <"...), e.Recipients[0].Address.String()...), '>')
	}
	b = append(b, "; "...)
	b = e.Received.AppendFormat(b, dateTime)
	return append(b, "\r\n"...)
}

// fromDomain is the Extended-Domain of RFC 5321 section 4.4: what the client
// called itself, then where it came from, with the name of that address if it is
// known (TCP-info). A name that is no domain is left out. It is "" for messages
// that did not come over the network.
func fromDomain(name, host, verified string) string {
	literal := addressLiteral(host)
	if !isDomain(name) {
		name = literal
	}
	switch {
	case literal == "":
		return name
	case name == "":
		return literal
	case isDomain(verified):
		return name + " (" + verified + " " + literal + ")"
	}
	return name + " (" + literal + ")"
}

// addressLiteral obeys RFC 5321 section 4.1.3; "" for what is no address.
func addressLiteral(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

// isDomain lets only pass what cannot end a header field or a comment.
func isDomain(s string) bool {
	const more = ".-_:[]"
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
	})
}

// appendMissing appends the fields that RFC 6409 section 8 lets a submission
// server add.
func appendMissing(b []byte, s *mail.Submission, h *header) []byte {
	if !h.hasMessageID {
		b = append(b, "Message-ID: <"...)
		b = append(append(append(b, s.Envelope.MessageID...), '>'), "\r\n"...)
	}
	if !h.hasDate {
		b = append(b, "Date: "...)
		b = append(s.Envelope.Received.AppendFormat(b, dateTime), "\r\n"...)
	}
	return b
}

// messageID is the one given to a message that has none: the message's own ID
// at the host that gave it, unique as RFC 5322 section 3.6.4 asks.
func messageID(id mail.ID, host string) string {
	return id.String() + "@" + strings.ToLower(host)
}
