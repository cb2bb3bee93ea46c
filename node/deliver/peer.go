package deliver

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/postroad/postroad/node/mail"
)

const (
	writeBuffer = 64 << 10
	readBuffer  = maxReplyLine
)

// peer is an open dialog: the stream, its buffers, and what was learnt of the host.
type peer struct {
	hop    mail.Hop
	at     endpoint
	remote string
	wire   *wire
	in     replyReader
	out    *bufio.Writer
	ext    extensions
	set    Settings // of when it was opened
	limits Timeouts
	name   string // what the host calls itself in its EHLO reply
	tls    bool
	// verified: the certificate was checked against the name.
	verified bool
}

// proven says whether the channel is one that REQUIRETLS may go over.
func (p *peer) proven() bool {
	return p.tls && p.verified && (p.hop.Options.RequireTLS || p.hop.Kind == mail.HopNode || p.hop.Kind == mail.HopSmartHost)
}

func newPeer(hop mail.Hop, at endpoint, conn net.Conn, limits Timeouts) *peer {
	p := &peer{hop: hop, at: at, remote: at.remote(), limits: limits}
	p.wire = &wire{Conn: conn, block: limits.Block}
	p.wrap()
	return p
}

// wrap gives the stream fresh buffers: at the start, and after the handshake of
// TLS, where nothing said before may survive (RFC 3207 section 4.2).
func (p *peer) wrap() {
	p.in = replyReader{br: bufio.NewReaderSize(p.wire, readBuffer)}
	p.out = bufio.NewWriterSize(p.wire, writeBuffer)
}

// await reads one reply of the opening dialog.
func (p *peer) await(timeout time.Duration) (*reply, error) {
	if err := p.wire.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	return p.in.read()
}

// unasked finds what the host has said before it was asked: taken for the answer to the
// next command it would put all that follow out of step. Only 421 may come at any
// time (RFC 5321 section 3.8).
func (p *peer) unasked() error {
	if p.in.br.Buffered() == 0 {
		return nil
	}
	r, err := p.await(lastWords)
	switch {
	case err != nil:
		return err
	case r.code == 421:
		return refusedBy(mail.Deferred, mail.StatusNoAnswer, "the host closes the connection", r)
	}
	return protocolError(fmt.Sprintf("a reply (%d) that nothing was sent for", r.code))
}

// ask sends one command of the opening dialog and reads its reply.
func (p *peer) ask(timeout time.Duration, format string, args ...any) (*reply, error) {
	if err := p.unasked(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(p.out, format+"\r\n", args...); err != nil {
		return nil, err
	}
	if err := p.out.Flush(); err != nil {
		return nil, err
	}
	return p.await(timeout)
}

// quit leaves politely; the answer is waited for but does not matter (RFC 5321
// section 4.1.1.10).
func (p *peer) quit(timeout time.Duration) {
	_, _ = p.ask(timeout, "QUIT")
	_ = p.wire.Close()
}

// dismiss ends a dialog that came to nothing. Where the stream is whole it ends with
// QUIT, even after a refusal (RFC 5321 section 4.1.1.10); a peer that is gone or out of
// step is only left.
func (p *peer) dismiss(err error) {
	var c *ConnectError
	if errors.As(err, &c) && c.Err == nil && (c.Outcome.Reply == nil || c.Outcome.Reply.Code != 421) {
		p.quit(p.limits.Quit)
		return
	}
	_ = p.wire.Close()
}
