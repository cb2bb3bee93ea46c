package directory

import (
	"errors"
	"net/netip"
	"strings"
)

// checkDomain obeys RFC 5321 section 4.1.2 and lets "_" pass, which exists in
// the wild, and UTF-8 (RFC 6531 section 3.3).
func checkDomain(d string) error {
	if d == "" {
		return errors.New("the domain is missing")
	}
	if len(d) > maxDomain {
		return errors.New("the domain must have at most 255 octets")
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("each label of the domain must have 1 to 63 characters and no hyphen at its ends")
		}
		if i := strings.IndexFunc(label, notDomainChar); i >= 0 {
			return errors.New("the domain must have only letters, digits, hyphens and dots")
		}
	}
	return nil
}

func notDomainChar(r rune) bool {
	return r < 0x80 && r != '-' && r != '_' && !isAlnum(byte(r))
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
	return errors.New("the address literal must be [1.2.3.4] or [IPv6:...]")
}
