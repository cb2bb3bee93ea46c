package smtpd

import (
	"bytes"
	"io"

	"github.com/emersion/go-smtp"
)

// What makes content unacceptable. They are replies (RFC 5321 section 4.5.2, RFC 5322
// section 2.3), and what the session's reader returns.
var (
	errTooBig = smtp.ErrDataTooLarge
	errBareLF = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
		Message: "Message holds a bare LF; lines must end in CR LF"}
	errBareCR = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
		Message: "Message holds a bare CR; lines must end in CR LF"}
	errNUL = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
		Message: "Message holds a NUL"}
	errHeader = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4},
		Message: "Message header is too large"}
)

// dots decodes the content of DATA (RFC 5321 section 4.5.2). It looks at whole blocks:
// only line ends and dots that begin a line cost more than a memory scan.
type dots struct {
	c    *Conn
	time contentClock
	// lenient leaves bare CR and LF to a [repair] behind it. They end no line here either way.
	lenient bool
	mid     bool // in the middle of a line
	done    bool // CRLF.CRLF was seen
}

func (d *dots) next() ([]byte, error) {
	in := &d.c.in
	for {
		if d.done {
			return nil, io.EOF
		}
		text, used, fault := d.scan(in.window())
		in.advance(used)
		switch {
		case fault != nil && !d.lenient:
			return nil, fault
		case len(text) > 0:
			return text, nil
		case used > 0:
			continue
		}
		if err := d.time.fill(d.c); err != nil {
			return nil, err
		}
	}
}

// ready: three octets are enough to decide on one (".", CR, LF).
func (d *dots) ready() bool { return len(d.c.in.window()) > 2 }

// scan decodes the beginning of win: used octets, whose content is text. Zero
// used octets mean that more must be seen to decide: a CR, or a dot at the
// beginning of a line, with nothing behind it.
func (d *dots) scan(win []byte) (text []byte, used int, fault error) {
	start, p := 0, 0
	for p < len(win) {
		if !d.mid && win[p] == '.' {
			rest := win[p:]
			switch {
			case len(rest) < 2 || len(rest) < 3 && rest[1] == '\r':
				return win[start:p], p, fault
			case rest[1] == '\r' && rest[2] == '\n':
				d.done = true
				return win[start:p], p + 3, fault
			case p > start:
				return win[start:p], p, fault
			}
			start, p = p+1, p+1
		}
		d.mid = true
		i := bytes.IndexByte(win[p:], '\n')
		if i < 0 {
			end := len(win)
			if win[end-1] == '\r' {
				end--
			}
			if bytes.IndexByte(win[p:end], '\r') >= 0 {
				fault = errBareCR
			}
			return win[start:end], end, fault
		}
		switch line := win[p : p+i]; {
		case i == 0 || line[i-1] != '\r':
			// No line ends here: a dot that follows is content, whatever comes
			// after it. This is what closes LF.CRLF and its relatives.
			fault = errBareLF
		case bytes.IndexByte(line[:i-1], '\r') >= 0:
			fault = errBareCR
			d.mid = false
		default:
			d.mid = false
		}
		p += i + 1
	}
	return win[start:], len(win), fault
}
