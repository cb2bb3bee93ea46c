package directory

import (
	"errors"
	"strings"
)

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	maxLocalPart = 64
	maxDomain    = 255
)

// splitAddress takes LOCAL-PART@DOMAIN apart (RFC 5321 section 4.1.2, RFC 6531
// section 3.3) and takes quotes and escapes off the local part.
func splitAddress(s string) (local, domain string, err error) {
	rest := ""
	if strings.HasPrefix(s, `"`) {
		local, rest, err = unquoteLocal(s)
		if err != nil {
			return "", "", err
		}
	} else {
		i := strings.IndexByte(s, '@')
		if i < 0 {
			return "", "", errors.New("must be LOCAL-PART@DOMAIN")
		}
		local, rest = s[:i], s[i:]
		if !isDotString(local) {
			return "", "", errors.New("the part before @ must be atoms joined by single dots, or quoted")
		}
		if len(local) > maxLocalPart {
			return "", "", errors.New("the part before @ must have at most 64 octets")
		}
	}
	domain, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return "", "", errors.New("must be LOCAL-PART@DOMAIN")
	}
	if strings.HasPrefix(domain, "[") {
		return local, domain, checkLiteral(domain)
	}
	return local, domain, checkDomain(domain)
}

func unquoteLocal(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			// The limit counts octets as written, quotes included (RFC 5321 section 4.5.3.1.1).
			if i+1 > maxLocalPart {
				return "", "", errors.New("the part before @ must have at most 64 octets")
			}
			return b.String(), s[i+1:], nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("a backslash must be followed by a printable character")
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", errors.New("must not contain control characters")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("the quoted part before @ has no closing quote")
}

func quoteLocal(s string) string {
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

func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, notAtext) {
			return false
		}
	}
	return true
}

// notAtext is the complement of RFC 5322 section 3.2.3 with RFC 6531 section 3.3.
func notAtext(r rune) bool {
	return r < 0x80 && !isAlnum(byte(r)) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
