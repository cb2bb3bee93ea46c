package deliver

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// extensions is what a peer offers in its EHLO or LHLO reply.
type extensions struct {
	pipelining, chunking, binary, eightBit, utf8, dsn, startTLS, passport, linkState bool
	requireTLS, mtPriority, deliverBy                                                bool
	etrn, atrn, turn                                                                 bool

	minBy int64 // least by-time in seconds (RFC 2852 section 3); 0: not declared

	size    bool  // SIZE was offered
	maxSize int64 // 0: no limit declared
	auth    []string

	// RFC 9422 section 4; 0: not declared.
	rcptMax, mailMax, domainMax int
}

// parseExtensions reads the lines after the first (RFC 5321 section 4.1.1.1).
// What it does not know it leaves alone.
func parseExtensions(r *reply) extensions {
	var e extensions
	for i := 1; i < len(r.ends); i++ {
		f := strings.Fields(strings.ToUpper(string(r.line(i))))
		if len(f) > 0 {
			e.add(f[0], f[1:])
		}
	}
	return e
}

func (e *extensions) add(keyword string, params []string) {
	switch keyword {
	case "PIPELINING":
		e.pipelining = true
	case "CHUNKING":
		e.chunking = true
	case "BINARYMIME":
		e.binary = true
	case "8BITMIME":
		e.eightBit = true
	case "SMTPUTF8":
		e.utf8 = true
	case "DSN":
		e.dsn = true
	case "STARTTLS":
		e.startTLS = true
	case "REQUIRETLS":
		e.requireTLS = true
	case "MT-PRIORITY":
		e.mtPriority = true
	case "DELIVERBY":
		e.deliverBy = true
		if len(params) > 0 {
			// A list of options with commas, of which this is the first (RFC 2852 section 3).
			first, _, _ := strings.Cut(params[0], ",")
			if n, err := strconv.ParseInt(first, 10, 64); err == nil && n > 0 {
				e.minBy = n
			}
		}
	case "XPOSTROAD":
		e.passport = true
	case "X-LINK2STATE":
		e.linkState = true
	case "ETRN":
		e.etrn = true
	case "ATRN":
		e.atrn = true
	case "TURN":
		e.turn = true
	case "SIZE":
		e.size = true
		if len(params) > 0 {
			if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
				e.maxSize = n
			}
		}
	case "AUTH":
		e.auth = append(e.auth, params...) // some say it twice
	case "LIMITS":
		e.limits(params)
	}
}

func (e *extensions) limits(params []string) {
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			continue
		}
		switch name {
		case "RCPTMAX":
			e.rcptMax = n
		case "MAILMAX":
			e.mailMax = n
		case "RCPTDOMAINMAX":
			e.domainMax = n
		}
	}
}

// dequeuing says whether the host takes the command. ATRN is tried without: the port
// for it knows nothing else, and answers 502 where it does not.
func (e *extensions) dequeuing(verb mail.Dequeuing) bool {
	switch verb {
	case mail.ETRN:
		return e.etrn
	case mail.TURN:
		return e.turn
	}
	return verb == mail.ATRN
}

func (e *extensions) offersAuth(mechanism string) bool { return slices.Contains(e.auth, mechanism) }
