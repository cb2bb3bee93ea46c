package mail

import (
	"fmt"
	"strings"
)

// OriginalRecipient writes the form in which Recipient.Original and
// Target.Original hold an address: type, ";" and the address encoded as ORCPT
// wants it, so that whoever decodes it gets exactly address back. For the type
// "utf-8" that is utf-8-addr-unitext (RFC 6533 section 3), for all others xtext
// (RFC 3461 section 4).
func OriginalRecipient(typ, address string) string {
	typ = strings.ToLower(typ)
	unitext := typ == "utf-8"
	var b strings.Builder
	b.WriteString(typ)
	b.WriteByte(';')
	for i := range len(address) {
		c := address[i]
		switch {
		case unitext && (c <= ' ' || c == 0x7f || c == '+' || c == '=' || c == '\\'):
			fmt.Fprintf(&b, `\x{%02X}`, c)
		case !unitext && (c <= ' ' || c >= 0x7f || c == '+' || c == '='):
			fmt.Fprintf(&b, "+%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Original is what an address is passed on as when the sender gave no ORCPT and
// mail for it goes elsewhere (RFC 3461 section 5.2.7.1).
func (a Address) Original() string {
	if a.IsASCII() {
		return OriginalRecipient("rfc822", a.String())
	}
	return OriginalRecipient("utf-8", a.String())
}
