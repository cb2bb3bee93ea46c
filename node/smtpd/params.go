package smtpd

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// param is one ESMTP parameter (RFC 5321 section 4.1.2).
type param struct {
	key    string // upper case
	value  string
	valued bool // there was a "="
}

var (
	errParamKey   = errors.New("a parameter must be KEYWORD or KEYWORD=VALUE")
	errParamValue = errors.New("a parameter's value must be printable, without blanks and without =")
	errParamTwice = errors.New("a parameter must be given once")
	errParamCount = errors.New("too many parameters")
)

// maxParams bounds the parameters of one command; more than any extension set has.
const maxParams = 16

// params are the parameters of one command, in a fixed place so that parsing
// costs no allocation.
type params struct {
	list [maxParams]param
	n    int
}

func (p *params) all() []param { return p.list[:p.n] }

// parse reads parameters that are parted by blanks.
func (p *params) parse(s string) error {
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return nil
		}
		word, rest, _ := strings.Cut(s, " ")
		s = rest
		key, value, valued := strings.Cut(word, "=")
		if !isKeyword(key) {
			return errParamKey
		}
		if valued && !isParamValue(value) {
			return errParamValue
		}
		key = upper(key)
		for _, q := range p.all() {
			if q.key == key {
				return errParamTwice
			}
		}
		if p.n == maxParams {
			return errParamCount
		}
		p.list[p.n] = param{key, value, valued}
		p.n++
	}
}

// isKeyword is esmtp-keyword: a letter or digit, then also hyphens.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isParamValue is esmtp-value with the UTF-8 of RFC 6531 section 3.3.
func isParamValue(s string) bool {
	wide := false
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
		wide = wide || c >= utf8.RuneSelf
	}
	return s != "" && (!wide || utf8.ValidString(s))
}
