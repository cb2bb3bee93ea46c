package w3clog

import (
	"net/netip"
	"strconv"
	"time"
)

// Record is one command and its reply.
type Record struct {
	Time          time.Time
	Client        netip.AddrPort
	Local         netip.AddrPort
	Hello         string // HELO or EHLO argument
	Account       string
	VirtualServer string
	Server        string // host name
	Verb          string
	Argument      string
	Code          int
	Received      int64
	Sent          int64
	Took          time.Duration
	Protocol      string // "ESMTPS"
}

// fields are all that a log can have. The names are those of the W3C working
// draft, cs- being what the client sent and sc- what the server did; x- ones are
// our own. As in the original time-taken is in milliseconds and cs-username is
// the name that the client gave with HELO or EHLO.
func fields() map[string]func([]byte, *Record) []byte {
	return map[string]func([]byte, *Record) []byte{
		"date":           func(b []byte, r *Record) []byte { return r.Time.UTC().AppendFormat(b, time.DateOnly) },
		"time":           func(b []byte, r *Record) []byte { return r.Time.UTC().AppendFormat(b, time.TimeOnly) },
		"c-ip":           func(b []byte, r *Record) []byte { return address(b, r.Client) },
		"c-port":         func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.Client.Port()), 10) },
		"cs-username":    func(b []byte, r *Record) []byte { return text(b, r.Hello) },
		"s-sitename":     func(b []byte, r *Record) []byte { return text(b, r.VirtualServer) },
		"s-computername": func(b []byte, r *Record) []byte { return text(b, r.Server) },
		"s-ip":           func(b []byte, r *Record) []byte { return address(b, r.Local) },
		"s-port":         func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.Local.Port()), 10) },
		"cs-method":      func(b []byte, r *Record) []byte { return text(b, r.Verb) },
		"cs-uri-stem":    func(b []byte, _ *Record) []byte { return append(b, '-') },
		"cs-uri-query":   func(b []byte, r *Record) []byte { return text(b, r.Argument) },
		"sc-status":      func(b []byte, r *Record) []byte { return strconv.AppendInt(b, int64(r.Code), 10) },
		"sc-bytes":       func(b []byte, r *Record) []byte { return strconv.AppendInt(b, r.Sent, 10) },
		"cs-bytes":       func(b []byte, r *Record) []byte { return strconv.AppendInt(b, r.Received, 10) },
		"time-taken":     func(b []byte, r *Record) []byte { return strconv.AppendInt(b, r.Took.Milliseconds(), 10) },
		"cs-version":     func(b []byte, r *Record) []byte { return text(b, r.Protocol) },
		"x-account":      func(b []byte, r *Record) []byte { return text(b, r.Account) },
	}
}

func address(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(b, '-')
	}
	return a.Addr().Unmap().AppendTo(b)
}

// text is a value without anything that could end it or the line: blanks become
// plus signs, as in the original; a plus, a percent sign, and what is no printable
// ASCII are percent-encoded.
func text(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b = append(b, '+')
		case c <= ' ' || c >= 0x7f || c == '%' || c == '+':
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
