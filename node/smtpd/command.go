package smtpd

import (
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// command is a line taken apart: the verb in upper case and what follows its blank.
type command struct{ verb, arg string }

// parseCommand obeys RFC 5321 section 4.1.1: verbs have any case, one blank parts them
// from their argument, trailing blanks are tolerated.
func parseCommand(line string) command {
	verb, arg, _ := strings.Cut(strings.TrimRight(line, " \t"), " ")
	return command{upper(verb), arg}
}

// upper is the ASCII upper case; it allocates only where it changes something.
func upper(s string) string {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'a' <= b[i] && b[i] <= 'z' {
					b[i] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// lineError is a line that cannot be a command, with its answer.
type lineError struct{ reply reply }

func (e *lineError) Error() string { return e.reply.text }

// errClosing is given to a connection that waits while the server shuts down.
var errClosing = errors.New("smtpd: shutting down")

// readLine returns the next line without CRLF, valid until the next read. A
// line with an error that leaves the stream in order gives a *lineError.
func (c *Conn) readLine(limit int) ([]byte, error) {
	var deadline time.Time
	seen := 0
	for {
		line, bad, found := c.in.line(seen)
		switch {
		case found && bad == "bare CR":
			return nil, &lineError{refuse(500, enhSyn, "Syntax error: bare CR; only CR LF ends a line")}
		case found && bad != "":
			// After a bare LF nobody knows where the peer thinks its lines end;
			// going on would be guessing, and guessing is how smuggling works.
			return nil, &lineError{hangup(500, enhSyn, "Syntax error: "+bad+"; only CR LF ends a line")}
		case found && len(line)+2 > limit:
			return nil, tooLong(line)
		case found:
			return line, nil
		}
		seen = len(c.in.window())
		if seen >= limit {
			return nil, c.skipLine(deadline)
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.cfg.Timeouts.Command)
		}
		if err := c.await(deadline); err != nil {
			return nil, err
		}
	}
}

// tooLong is RFC 5321 section 4.5.3.1.10, for a line that begins so; RFC 4954 section 4
// has a code for AUTH.
func tooLong(line []byte) *lineError {
	r := refuse(500, enhSyn, "Line too long")
	if len(line) > 5 && upper(string(line[:5])) == "AUTH " {
		r.enh = enhAuthLong
	}
	return &lineError{r}
}

// skipLine reads a line away that is longer than any may be.
func (c *Conn) skipLine(deadline time.Time) error {
	if deadline.IsZero() {
		deadline = time.Now().Add(c.cfg.Timeouts.Command)
	}
	long := tooLong(c.in.window())
	for skipped := 0; skipped < maxDiscardedLine; {
		win := c.in.window()
		if _, bad, found := c.in.line(0); found {
			if bad == "bare LF" {
				return &lineError{hangup(500, enhSyn, "Line too long and not ended by CR LF")}
			}
			return long
		}
		// A CR at the end may be the first half of CRLF.
		n := len(win)
		if n > 0 && win[n-1] == '\r' {
			n--
		}
		c.in.advance(n)
		skipped += n
		if err := c.await(deadline); err != nil {
			return err
		}
	}
	return &lineError{hangup(500, enhSyn, "Line too long")}
}

// linger is how long an idle connection keeps its large buffer.
const linger = 2 * time.Second

// await blocks for more octets of a command.
func (c *Conn) await(deadline time.Time) error {
	for {
		c.flush()
		if c.broken {
			return net.ErrClosed
		}
		d := deadline
		lingering := c.in.busy != nil && c.in.empty()
		if lingering {
			if l := time.Now().Add(linger); l.Before(d) {
				d = l
			}
		}
		if !c.wait(d) {
			return errClosing
		}
		err := c.in.fill()
		c.mu.Lock()
		c.waiting = false
		c.mu.Unlock()
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case c.leaving():
			return errClosing
		case lingering && time.Now().Before(deadline):
			c.in.shrink()
		default:
			return err
		}
	}
}

// leaving says whether the connection ends before its next command.
func (c *Conn) leaving() bool {
	return c.server.closing.Load() || c.turned != nil && c.turned.Err() != nil
}

// wait sets the read deadline unless the server is shutting down, in one step
// with telling interrupt that there is a reader to wake.
func (c *Conn) wait(deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving() {
		return false
	}
	c.waiting = true
	c.raw.SetDeadline(deadline) // of both: TLS may have to write while it reads
	return true
}

// interrupt wakes the connection if it waits for a command; in the middle of a
// message it is left alone and notices later.
func (c *Conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// readError answers an error of readLine.
func (c *Conn) readError(err error) reply {
	var le *lineError
	switch {
	case errors.As(err, &le):
		return le.reply
	case errors.Is(err, errClosing):
		return shuttingDown()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut("a command")
	}
	c.broken, c.closed = true, true
	return reply{}
}

// shuttingDown is RFC 5321 section 3.8.
func shuttingDown() reply {
	return hangup(421, smtp.EnhancedCode{4, 3, 2}, "Service closing transmission channel")
}
