package smtpd

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// ErrAborted is what the reader of a session returns when the client gives the
// message up between two chunks (RSET, QUIT, EHLO). It is go-smtp's.
var ErrAborted = smtp.ErrDataReset

// chunk is the argument of BDAT (RFC 3030 section 2).
type chunk struct {
	size int64
	last bool
}

var (
	errChunk     = errors.New("BDAT needs a size, then LAST or nothing")
	errChunkSize = errors.New("the chunk is larger than any can be")
	errChunkLast = errors.New("only LAST may follow the size of a chunk")
)

// parseChunk reads the argument; with errChunkLast the size is known all the same.
func parseChunk(arg string) (k chunk, err error) {
	size, rest, more := strings.Cut(arg, " ")
	if size == "" || strings.Trim(size, "0123456789") != "" {
		return k, errChunk
	}
	if k.size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return chunk{}, errChunkSize
	}
	if rest = strings.TrimLeft(rest, " "); more && rest != "" {
		if upper(rest) != "LAST" {
			return k, errChunkLast
		}
		k.last = true
	}
	return k, nil
}

// badChunk answers a malformed BDAT. The chunk that follows must never be read as
// commands; where its size is unknown the connection ends. The error is why the chunk
// did not come.
func (c *Conn) badChunk(k chunk, err error) (reply, error) {
	switch err {
	case errChunkSize:
		return hangup(552, smtp.EnhancedCode{5, 3, 4}, "Syntax error: "+err.Error()), nil
	case errChunkLast:
		if e := c.discard(k.size, c.contentClock()); e != nil {
			return reply{}, e
		}
	}
	return syntax("Syntax error: " + err.Error()), nil
}

// discard reads n octets away.
func (c *Conn) discard(n int64, t contentClock) error {
	for n > 0 {
		if c.in.empty() {
			if err := t.fill(c); err != nil {
				return err
			}
		}
		k := min(n, int64(len(c.in.window())))
		c.in.advance(int(k))
		n -= k
	}
	return nil
}

// bdat is the first BDAT of a message, and each one that follows a failed one.
// The others are read by [chunks], from within the session's Data.
func (c *Conn) bdat(arg string) reply {
	k, err := parseChunk(arg)
	if err != nil {
		r, e := c.badChunk(k, err)
		if e != nil {
			return c.lost(e)
		}
		return r
	}
	r := c.chunkRefused(k)
	if !c.cfg.offers(ExtChunking) {
		// Its octets must not be taken for commands all the same.
		r = notImplemented("BDAT")
	}
	if r.code != 0 {
		// RFC 3030 section 2: the octets of a refused chunk still come.
		if e := c.discard(k.size, c.contentClock()); e != nil {
			return c.lost(e)
		}
		return r
	}
	if c.ackDue {
		c.flush()
	}
	c.tx.chunks = true
	src := &chunks{c: c, chunk: k, time: c.contentClock(), left: k.size, lenient: c.lenient()}
	b := c.newBody(src)
	if src.tooBig(b.limit) {
		b.fault = errTooBig
		return c.refuseChunk(src, b, nil)
	}
	src.limit = b.limit
	err = c.deliver(b)
	if err == nil && b.fault == nil {
		b.drain()
	}
	switch {
	case src.pending != nil:
		c.resetTransaction()
		return c.handle(*src.pending)
	case b.end != nil && b.end != io.EOF:
		return c.lost(b.end)
	case err != nil || b.fault != nil:
		return c.refuseChunk(src, b, err)
	}
	return c.settle(b, nil)
}

// chunkRefused is why no chunk may come now. Chunks after a failed one get its
// reply again, so that a client which only looks at the reply to LAST learns
// whether trying again makes sense.
func (c *Conn) chunkRefused(k chunk) reply {
	if r := c.barred("BDAT"); r.code != 0 {
		return r
	}
	if c.tx.failed == nil {
		return c.needRecipients()
	}
	r := *c.tx.failed
	if k.last {
		if c.cfg.LMTP {
			c.repeat(func(int) reply { return r })
		}
		c.resetTransaction()
	}
	return r
}

// refuseChunk reads the rest of the chunk away and remembers the reply for those
// that are already on their way.
func (c *Conn) refuseChunk(src *chunks, b *body, err error) reply {
	if e := c.discard(src.left, src.time); e != nil {
		return c.lost(e)
	}
	if src.last {
		return c.settle(b, err)
	}
	r := c.verdict(b, err)
	c.tx.failed = &r
	return r
}

// chunks joins the chunks of one message. When one is used up it acknowledges it
// and reads commands until the next.
type chunks struct {
	c *Conn
	chunk
	time    contentClock
	limit   int64
	total   int64 // octets of earlier chunks
	left    int64 // octets of the present chunk still to come
	lenient bool  // line ends are not judged here
	cr      bool  // the last octet was a CR
	pending *command
}

func (k *chunks) tooBig(limit int64) bool {
	return limit > 0 && k.size > limit-k.total
}

func (k *chunks) next() ([]byte, error) {
	for k.left == 0 {
		if k.last {
			if k.cr {
				k.cr = false
				return nil, errBareCR
			}
			return nil, io.EOF
		}
		if err := k.nextChunk(); err != nil {
			return nil, err
		}
	}
	in := &k.c.in
	if in.empty() {
		if err := k.time.fill(k.c); err != nil {
			return nil, err
		}
	}
	block := in.window()
	if int64(len(block)) > k.left {
		block = block[:k.left]
	}
	in.advance(len(block))
	k.left -= int64(len(block))
	return block, k.check(block)
}

func (k *chunks) ready() bool { return k.left > 0 && !k.c.in.empty() }

// check applies the rule for line ends. Chunks could carry anything without harm
// here, but the next hop may want DATA, and there a bare LF is a weapon.
func (k *chunks) check(block []byte) error {
	if k.lenient {
		return nil
	}
	for len(block) > 0 {
		i := bytes.IndexByte(block, '\n')
		line := block
		if i >= 0 {
			line, block = block[:i], block[i+1:]
		} else {
			block = nil
		}
		if k.cr && len(line) > 0 {
			k.cr = false
			return errBareCR
		}
		if n := len(line); n > 0 {
			k.cr = line[n-1] == '\r'
			if k.cr {
				line = line[:n-1]
			}
			if bytes.IndexByte(line, '\r') >= 0 {
				return errBareCR
			}
		}
		if i >= 0 {
			if !k.cr {
				return errBareLF
			}
			k.cr = false
		}
	}
	return nil
}

// nextChunk acknowledges the chunk before and serves commands until the next
// BDAT. RSET and its like end the transfer; they are left in pending.
func (k *chunks) nextChunk() error {
	c := k.c
	k.total += k.size
	c.send(ok(250, smtp.EnhancedCode{2, 0, 0}, strconv.FormatInt(k.size, 10)+" octets received"))
	for !c.closed {
		cmd, err := c.readCommand()
		if err != nil {
			var le *lineError
			if !errors.As(err, &le) {
				return err
			}
			c.send(le.reply)
			continue
		}
		switch {
		case c.abandons(cmd):
			k.pending = &cmd
			return ErrAborted
		case cmd.verb == "BDAT":
			next, err := parseChunk(cmd.arg)
			if err != nil {
				r, e := c.badChunk(next, err)
				if e != nil {
					return e // the session is in its Data: it is reset after that
				}
				c.send(r)
				continue
			}
			k.chunk, k.left = next, next.size
			if k.tooBig(k.limit) {
				return errTooBig
			}
			return nil
		}
		c.send(c.handle(cmd))
	}
	return ErrAborted
}

// abandons says whether a command gives up the message under way. One that will be
// refused for its form changes nothing (RFC 5321 section 4.1.4).
func (c *Conn) abandons(cmd command) bool {
	switch cmd.verb {
	case "RSET", "QUIT":
		return cmd.arg == ""
	case "EHLO", "HELO", "LHLO":
		return c.cfg.LMTP == (cmd.verb == "LHLO") && isHello(cmd.arg)
	}
	return false
}
