package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Address is an SMTP mailbox (RFC 5321 section 4.1.2, RFC 6531 section 3.3). Local
// holds the local part without quotes and escapes; Domain is as written, an
// address literal with its brackets. The zero value is the null reverse path.
type Address struct{ Local, Domain string }

// IsZero says whether the address is the null path.
func (a Address) IsZero() bool { return a == Address{} }

// String writes the mailbox, quoting the local part where RFC 5321 section 4.1.2 asks for it.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// Key is the form under which the directory finds the address: lower case, the
// domain as A-labels. Local parts are compared without case, as every mailbox
// of an organisation is (RFC 5321 section 2.4 lets the receiving host decide).
func (a Address) Key() string {
	return strings.ToLower(Address{a.Local, DomainKey(a.Domain)}.String())
}

// DomainKey is a domain in lower case A-labels without a trailing dot; a domain
// that cannot be converted is only lowered.
func DomainKey(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(domain); err == nil {
				return a
			}
			break
		}
	}
	return domain
}

// IsASCII says whether the address can be sent without SMTPUTF8.
func (a Address) IsASCII() bool { return isASCII(a.Local) && isASCII(a.Domain) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Limits of RFC 5321 section 4.5.3.1.
const (
	maxLocal  = 64
	maxDomain = 255
)

// ParseAddress reads a mailbox: local part, "@", domain or address literal. A
// local part may be a dot-string or a quoted string. It takes UTF-8; the caller
// says whether that is allowed.
func ParseAddress(s string) (Address, error) {
	local, rest, err := parseLocal(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	if rest == "" || rest[0] != '@' {
		return Address{}, fmt.Errorf("address %q: must be LOCAL-PART@DOMAIN", s)
	}
	domain := rest[1:]
	if err := checkDomain(domain); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	return Address{local, domain}, nil
}

func parseLocal(s string) (local, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '@')
		if i < 0 {
			i = len(s)
		}
		local, rest = s[:i], s[i:]
		if !isDotString(local) {
			return "", "", errors.New("the local part must be atoms joined by single dots, or quoted")
		}
		if len(local) > maxLocal {
			return "", "", fmt.Errorf("the local part is longer than %d octets", maxLocal)
		}
		return local, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			// The limit is on octets as written, quotes included (RFC 5321 section 4.5.3.1.1).
			if i+1 > maxLocal {
				return "", "", fmt.Errorf("the local part is longer than %d octets", maxLocal)
			}
			return b.String(), s[i+1:], nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("a backslash must be followed by a printable character")
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", errors.New("control characters are not allowed in a quoted local part")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("the quoted local part has no closing quote")
}

func checkDomain(d string) error {
	if d == "" {
		return errors.New("the domain is missing")
	}
	if len(d) > maxDomain {
		return fmt.Errorf("the domain is longer than %d octets", maxDomain)
	}
	if d[0] == '[' {
		return checkLiteral(d)
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("each label of the domain must have 1 to 63 characters and no hyphen at its ends")
		}
		for i := range len(label) {
			c := label[i]
			if c < 0x80 && c != '-' && c != '_' && !isAlnum(c) {
				return fmt.Errorf("the domain must not contain %q", c)
			}
		}
	}
	return nil
}

// checkLiteral obeys RFC 5321 section 4.1.3: IPv4, or IPv6 with its tag.
func checkLiteral(d string) error {
	inner, ok := strings.CutSuffix(d[1:], "]")
	if !ok {
		return errors.New("the address literal has no closing bracket")
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		if ip, err := netip.ParseAddr(inner[5:]); err == nil && ip.Is6() && ip.Zone() == "" {
			return nil
		}
	} else if ip, err := netip.ParseAddr(inner); err == nil && ip.Is4() {
		return nil
	}
	if tag, rest, found := strings.Cut(inner, ":"); found && isTag(tag) && rest != "" && !strings.EqualFold(tag, "IPv6") {
		// General-address-literal: the tag must be one that a standard defines.
		return fmt.Errorf("the tag %q of the address literal is not known; IPv6 is the only one", tag)
	}
	return errors.New("the address literal must be [1.2.3.4] or [IPv6:...]")
}

// isTag says whether s is an Ldh-str that begins with a letter; "2001" is not meant as one.
func isTag(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && !isAlnum(c) || i == 0 && (c == '-' || '0' <= c && c <= '9') {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '-'
}

func isDotString(s string) bool {
	if s == "" {
		return false
	}
	dot := true // an atom must start here
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if dot {
				return false
			}
			dot = true
		case isAtext(c):
			dot = false
		default:
			return false
		}
	}
	return !dot
}

// isAtext is RFC 5322 section 3.2.3 with the UTF-8 octets of RFC 6531 section 3.3.
func isAtext(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}
