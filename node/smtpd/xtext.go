package smtpd

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
)

var (
	errXtext    = errors.New("malformed xtext: + must be followed by two upper-case hexadecimal digits")
	errOriginal = errors.New("must be ADDRESS-TYPE;ADDRESS")
)

// decodeXtext is RFC 3461 section 4. The parameter parser has already kept out
// blanks, controls and "=".
func decodeXtext(s string) (string, error) {
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

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// parseOriginal reads the value of ORCPT (RFC 3461 section 4.2, RFC 6533 section 3).
func parseOriginal(s string) (smtp.DSNAddressType, string, error) {
	typ, text, found := strings.Cut(s, ";")
	if !found || !isKeyword(typ) || text == "" {
		return "", "", errOriginal
	}
	t := smtp.DSNAddressType(upper(typ))
	var err error
	if t == smtp.DSNAddressTypeUTF8 {
		text, err = decodeUnitext(text)
		return t, text, err
	}
	if text, err = decodeXtext(text); err != nil {
		return "", "", err
	}
	if !isPrintable(text) {
		return "", "", errOriginal
	}
	return t, text, nil
}

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
