package mail

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errXtext    = errors.New("malformed xtext: + must be followed by two upper-case hexadecimal digits")
	errOriginal = errors.New("must be ADDRESS-TYPE;ADDRESS")
)

// DecodeXtext reads xtext (RFC 3461 section 4). Octets that may not stand in it for
// themselves ("=", blanks, controls) are the caller's to keep out.
func DecodeXtext(s string) (string, error) {
	if strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errXtext
		}
		hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
		if hi < 0 || lo < 0 {
			return "", errXtext
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

// hexDigit takes upper case only, as the grammar does.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// ParseOriginal reads the value of ORCPT (RFC 3461 section 4.2, RFC 6533 section 3). The
// type comes back in upper case, the address decoded.
func ParseOriginal(s string) (typ, address string, err error) {
	typ, text, found := strings.Cut(s, ";")
	if !found || text == "" || typ == "" || strings.Trim(typ, addressTypeOctets) != "" || typ[0] == '-' {
		return "", "", errOriginal
	}
	typ = strings.ToUpper(typ)
	if typ == "UTF-8" {
		address, err = decodeUnitext(text)
		return typ, address, err
	}
	if address, err = DecodeXtext(text); err != nil {
		return "", "", err
	}
	for i := range len(address) {
		if address[i] < ' ' || address[i] > '~' {
			return "", "", errOriginal
		}
	}
	return typ, address, nil
}

const addressTypeOctets = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// decodeUnitext reads utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section
// 3): \x{HEX} stands for a character, in as many upper-case digits as it needs,
// two at least.
func decodeUnitext(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '+':
			return "", errOriginal
		case c != '\\':
			b.WriteByte(c)
			i++
			continue
		}
		body, rest, found := strings.Cut(s[i:], "}")
		digits, opened := strings.CutPrefix(body, `\x{`)
		if !found || !opened || len(digits) < 2 || len(digits) > 6 || len(digits) > 2 && digits[0] == '0' {
			return "", errOriginal
		}
		for j := range len(digits) {
			if hexDigit(digits[j]) < 0 {
				return "", errOriginal
			}
		}
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) || n == 0 {
			return "", errOriginal
		}
		b.WriteRune(rune(n))
		i = len(s) - len(rest)
	}
	return b.String(), nil
}
