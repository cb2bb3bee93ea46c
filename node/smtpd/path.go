package smtpd

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
)

// path is a parsed reverse or forward path (RFC 5321 section 4.1.2).
type path struct {
	mailbox string // canonical; "" for the null path
	null    bool
	utf8    bool // has octets outside ASCII
}

var (
	errPathUTF8  = errors.New("the path is not valid UTF-8")
	errBrackets  = errors.New("the path must stand in angle brackets")
	errPathEnd   = errors.New("the path has no closing bracket")
	errRoute     = errors.New("the source route must look like @ONE,@TWO:USER@DOMAIN")
	errNoDomain  = errors.New("the sender must have a domain")
	errAfterPath = errors.New("a blank must follow the path")
)

// parsePath reads a path and returns what follows it without leading blanks. A
// source route is checked and dropped (RFC 5321 section 4.1.1.3 and appendix C), so
// that only the mailbox's own domain decides on relaying.
func parsePath(s string, strict bool) (p path, rest string, err error) {
	if !strict {
		s = strings.TrimLeft(s, " \t")
	}
	inner, rest, err := cutPath(s, strict)
	if err != nil {
		return path{}, "", err
	}
	if rest != "" && rest[0] != ' ' {
		return path{}, "", errAfterPath
	}
	rest = strings.TrimLeft(rest, " ")
	if inner == "" {
		return path{null: true}, rest, nil
	}
	if inner[0] == '@' {
		if inner, err = dropRoute(inner); err != nil {
			return path{}, "", err
		}
	}
	for i := range len(inner) {
		if inner[i] >= utf8.RuneSelf {
			p.utf8 = true
			break
		}
	}
	if p.utf8 && !utf8.ValidString(inner) {
		return path{}, "", errPathUTF8
	}
	if !p.utf8 && strings.EqualFold(inner, "postmaster") {
		p.mailbox = inner
		return p, rest, nil
	}
	a, err := mail.ParseAddress(inner)
	if err != nil {
		return path{}, "", err
	}
	p.mailbox = inner
	if inner[0] == '"' {
		p.mailbox = a.String()
	}
	return p, rest, nil
}

// cutPath finds the end of the path: the closing bracket, or without brackets
// the first blank, in both cases outside of quotes.
func cutPath(s string, strict bool) (inner, rest string, err error) {
	end := byte('>')
	if !strings.HasPrefix(s, "<") {
		if strict || s == "" {
			return "", "", errBrackets
		}
		end = ' '
	} else {
		s = s[1:]
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == end && !quoted:
			if end == '>' {
				return s[:i], s[i+1:], nil
			}
			return s[:i], s[i:], nil
		}
	}
	if end == '>' {
		return "", "", errPathEnd
	}
	return s, "", nil
}

// dropRoute takes "@one,@two:" off.
func dropRoute(s string) (string, error) {
	literal := false
	start := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			literal = true
		case c == ']':
			literal = false
		case literal: // the colons of an IPv6 literal
		case c == ',' || c == ':':
			hop := s[start:i]
			if !strings.HasPrefix(hop, "@") {
				return "", errRoute
			}
			if _, err := mail.ParseAddress("x" + hop); err != nil {
				return "", errRoute
			}
			if c == ':' {
				return s[i+1:], nil
			}
			start = i + 1
		}
	}
	return "", errRoute
}
