package deliver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Bounds on what a peer may say in one reply. RFC 5321 section 4.5.3.1.5 allows
// 512 octets a line; real hosts say more, liars without end.
const (
	maxReplyLine  = 4096
	maxReplyLines = 128
)

// reply is one reply as read; it is good until the next read.
type reply struct {
	code   int
	status mail.Status
	text   []byte // the lines without codes, one after the other
	ends   []int  // where each line ends in text
}

func (r *reply) class() int { return r.code / 100 }

func (r *reply) line(i int) []byte {
	start := 0
	if i > 0 {
		start = r.ends[i-1]
	}
	return r.text[start:r.ends[i]]
}

// keep copies the reply for those who want it longer.
func (r *reply) keep() mail.Reply {
	k := mail.Reply{Code: r.code, Status: r.status, Lines: make([]string, len(r.ends))}
	for i := range r.ends {
		k.Lines[i] = printable(r.line(i))
	}
	return k
}

// printable keeps what a peer said out of trouble: logs and reports get no
// control characters and no broken UTF-8.
func printable(b []byte) string {
	s := strings.ToValidUTF8(string(b), "?")
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return '?'
		}
		return c
	}, s)
}

// replyReader reads replies by the grammar of RFC 5321 section 4.2: only CRLF
// ends a line, all lines carry one code.
type replyReader struct {
	br *bufio.Reader
	r  reply
}

// read gives the next reply. A [protocolError] means that the peer did not
// write one; other errors are the connection's.
func (rr *replyReader) read() (*reply, error) {
	r := &rr.r
	*r = reply{text: r.text[:0], ends: r.ends[:0]}
	for {
		line, err := rr.line()
		if err != nil {
			return nil, err
		}
		code, more, text, err := splitLine(line)
		if err != nil {
			return nil, err
		}
		first := len(r.ends) == 0
		if !first && code != r.code {
			return nil, protocolError(fmt.Sprintf("one reply with two codes, %d and %d", r.code, code))
		}
		if len(r.ends) == maxReplyLines {
			return nil, protocolError(fmt.Sprintf("a reply of more than %d lines", maxReplyLines))
		}
		r.code = code
		if status, rest, ok := cutStatus(text, code); ok && (first || status == r.status) {
			r.status, text = status, rest
		}
		r.text = append(r.text, text...)
		r.ends = append(r.ends, len(r.text))
		if !more {
			return r, nil
		}
	}
}

// waiting says that the next reply has been received as a whole, so that read asks the
// peer for nothing.
func (rr *replyReader) waiting() bool {
	b, _ := rr.br.Peek(rr.br.Buffered())
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return false
		}
		if len(line) < 4 || line[3] != '-' {
			return true
		}
		b = rest
	}
}

func (rr *replyReader) line() ([]byte, error) {
	line, err := rr.br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, protocolError(fmt.Sprintf("a reply line longer than %d octets", maxReplyLine))
	case err != nil:
		return nil, err
	case len(line) < 2 || line[len(line)-2] != '\r':
		return nil, protocolError("a reply line that does not end with CRLF")
	}
	return line[:len(line)-2], nil
}

func splitLine(line []byte) (code int, more bool, text []byte, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '5' || line[2] < '0' || line[2] > '9' {
		return 0, false, nil, protocolError(fmt.Sprintf("%q is not a reply line", shorten(line)))
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, nil // RFC 5321 section 4.2: the text may be missing
	}
	switch line[3] {
	case ' ', '-':
		text = line[4:]
	default:
		return 0, false, nil, protocolError(fmt.Sprintf("%q is not a reply line", shorten(line)))
	}
	if bytes.IndexByte(text, '\r') >= 0 || bytes.IndexByte(text, 0) >= 0 {
		return 0, false, nil, protocolError("a reply line with CR or NUL in it")
	}
	return code, line[3] == '-', text, nil
}

func shorten(b []byte) []byte { return b[:min(len(b), 60)] }

// cutStatus takes an enhanced status code off the text (RFC 2034 section 3).
// One whose class contradicts the reply code is not believed, and left as text.
func cutStatus(text []byte, code int) (mail.Status, []byte, bool) {
	class := code / 100
	if class == 3 || len(text) < 5 || int(text[0]-'0') != class || text[1] != '.' {
		return mail.Status{}, text, false
	}
	subject, i := shortNumber(text, 2)
	if i < 0 || i == len(text) || text[i] != '.' {
		return mail.Status{}, text, false
	}
	detail, j := shortNumber(text, i+1)
	if j < 0 || j < len(text) && text[j] != ' ' {
		return mail.Status{}, text, false
	}
	s := mail.Status{Class: uint16(class), Subject: subject, Detail: detail}
	return s, bytes.TrimLeft(text[j:], " "), true
}

// shortNumber reads one to three digits without a leading zero (RFC 3463
// section 2) from b[i:], and gives where they end; -1 if there are none.
func shortNumber(b []byte, i int) (uint16, int) {
	start, n := i, uint16(0)
	for i < len(b) && i < start+3 && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + uint16(b[i]-'0')
		i++
	}
	if i == start || b[start] == '0' && i > start+1 {
		return 0, -1
	}
	return n, i
}
