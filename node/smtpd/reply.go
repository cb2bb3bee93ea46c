package smtpd

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

// reply is one answer (RFC 5321 section 4.2). The zero reply is none. A line feed in
// text starts a further line.
type reply struct {
	code  int
	enh   smtp.EnhancedCode
	text  string
	close bool // the connection ends after it
	fault bool // counts as a protocol error of the client
}

var (
	none     = smtp.NoEnhancedCode
	enhOrder = smtp.EnhancedCode{5, 5, 1} // RFC 3463: invalid command
	enhSyn   = smtp.EnhancedCode{5, 5, 2}
	enhParam = smtp.EnhancedCode{5, 5, 4}

	enhAuthLong = smtp.EnhancedCode{5, 5, 6} // RFC 4954 section 4
)

func ok(code int, enh smtp.EnhancedCode, text string) reply {
	return reply{code: code, enh: enh, text: text}
}

// refuse is for errors of the client in the protocol; they are counted.
func refuse(code int, enh smtp.EnhancedCode, text string) reply {
	return reply{code: code, enh: enh, text: text, fault: true}
}

func outOfOrder(text string) reply { return refuse(503, enhOrder, text) }
func syntax(text string) reply     { return refuse(501, enhParam, text) }

// hangup ends the connection from this side.
func hangup(code int, enh smtp.EnhancedCode, text string) reply {
	return reply{code: code, enh: enh, text: text, close: true}
}

func timedOut(what string) reply {
	return hangup(421, smtp.EnhancedCode{4, 4, 2}, "Timeout waiting for "+what)
}

// sessionReply words an error of the session. Errors in no SMTP words may tell
// of the inside (a path, a query), so they go to the log instead of the client.
func (c *Conn) sessionReply(verb string, err error, otherwise reply) reply {
	var se *smtp.SMTPError
	if !errors.As(err, &se) || se.Code < 200 || se.Code > 599 {
		c.log.Warn("smtp_session_failed", zap.String("verb", verb), zap.Stringer("client", c.RemoteAddr()),
			zap.Int("code", otherwise.code), zap.Error(err))
		return otherwise
	}
	return reply{
		code:  se.Code,
		enh:   se.EnhancedCode,
		text:  se.Message,
		close: se.Code == 421 || se.Code == 521 || hangsUp(err),
	}
}

// HangUp is an error of a session whose reply is the last one although its
// code does not say so.
type HangUp interface {
	error
	HangsUp() bool
}

func hangsUp(err error) bool {
	var h HangUp
	return errors.As(err, &h) && h.HangsUp()
}

func localError() reply {
	return reply{code: 451, enh: smtp.EnhancedCode{4, 3, 0}, text: "Local error in processing, try again later"}
}

// maxReplyLine is RFC 5321 section 4.5.3.1.5's 512 octets without CRLF.
const maxReplyLine = 510

// appendReply writes a reply; every line carries the enhanced code (RFC 2034
// section 4). A text that is too long for a line goes on in the next one, and
// octets that could end a line or hide on a terminal become question marks.
func appendReply(b []byte, r reply) []byte {
	enh := r.enh
	if enh == smtp.EnhancedCodeNotSet {
		enh = smtp.EnhancedCode{r.code / 100, 0, 0}
	}
	// RFC 2034 section 4: only 2yz, 4yz and 5yz have one, and its class is the reply's.
	bare := enh == none || r.code/100 != enh[0]
	text := r.text
	for {
		line, rest, more := cutReply(text)
		b = strconv.AppendInt(b, int64(r.code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if !bare {
			b = appendEnhanced(b, enh)
			b = append(b, ' ')
		}
		for i := range len(line) {
			if ch := line[i]; ch < ' ' || ch == 0x7f {
				b = append(b, '?')
			} else {
				b = append(b, ch)
			}
		}
		b = append(b, '\r', '\n')
		if !more {
			return b
		}
		text = rest
	}
}

// cutReply takes the text of one reply line off, leaving room for the codes.
func cutReply(text string) (line, rest string, more bool) {
	const room = maxReplyLine - len("250-2.999.999 ")
	line, rest, more = strings.Cut(text, "\n")
	if len(line) <= room {
		return strings.TrimSuffix(line, "\r"), rest, more
	}
	at := room
	for at > room-utf8.UTFMax && !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at], text[at:], true
}

func appendEnhanced(b []byte, e smtp.EnhancedCode) []byte {
	b = strconv.AppendInt(b, int64(e[0]), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e[1]), 10)
	b = append(b, '.')
	return strconv.AppendInt(b, int64(e[2]), 10)
}

// maxPending bounds the replies that wait for a client which sends without reading.
const maxPending = 4 << 10

// send queues a reply and does the accounting.
func (c *Conn) send(r reply) {
	if r.code == 0 {
		return
	}
	before := len(c.out)
	c.out = appendReply(c.out, r)
	c.tell(r.code, len(c.out)-before)
	if r.close {
		c.closed = true
		c.hungUp = c.hungUp || r.code != 221
	}
	if r.fault {
		c.errors++
		if c.errors >= c.cfg.MaxErrors && !c.closed {
			c.send(hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many errors"))
		}
	}
	if len(c.out) >= maxPending {
		c.flush()
	}
}

// flush writes the queued replies in one call. A failed write ends the connection.
func (c *Conn) flush() {
	c.ackDue = false
	if len(c.out) == 0 {
		return
	}
	if !c.broken {
		c.raw.SetWriteDeadline(time.Now().Add(c.cfg.Timeouts.Write))
		if _, err := c.conn.Write(c.out); err != nil {
			c.broken, c.closed = true, true
		}
	}
	c.out = c.out[:0]
}
