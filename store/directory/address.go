package directory

import (
	"strings"

	"golang.org/x/net/idna"
)

// AddressKey is the form under which an address is unique and found: lower
// case, the domain as A-labels, quotes around the local part only where RFC
// 5321 section 4.1.2 needs them, no "SMTP:" in front. Addresses of other types
// keep theirs: "x400:c=us;a= ;o=example". It agrees with Address.Key of
// node/mail, which this package may not import; an address that cannot be
// parsed is only lowered.
func AddressKey(address string) string {
	typ, rest := AddressType(address)
	if typ != TypeSMTP {
		return strings.ToLower(typ + ":" + rest)
	}
	local, domain, err := splitAddress(rest)
	if err != nil {
		return strings.ToLower(rest)
	}
	if !isDotString(local) {
		local = quoteLocal(local)
	}
	return strings.ToLower(local + "@" + DomainKey(domain))
}

// TypeSMTP is the address type of addresses without a written type.
const TypeSMTP = "SMTP"

// AddressType gives the type, in upper case, and the rest of an address such as
// "X400:c=us"; an address without a type is an SMTP one.
func AddressType(address string) (typ, rest string) {
	t, r, ok := strings.Cut(address, ":")
	if !ok || t == "" || strings.ContainsAny(t, "@\" .") {
		return TypeSMTP, address
	}
	return strings.ToUpper(t), r
}

// DomainKey is a domain in lower case A-labels without a trailing dot; a domain
// that cannot be converted is only lowered.
func DomainKey(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if isASCII(domain) {
		return domain
	}
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return domain
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
