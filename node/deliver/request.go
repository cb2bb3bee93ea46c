package deliver

import (
	"context"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Request asks a provider for the mail that it holds for us.
type Request struct {
	Verb mail.Dequeuing
	// What is asked for, in the words of the verb: ETRN for each, ATRN for all of
	// them in one command, TURN for none.
	What []string
	// Take serves the connection as a server after ATRN or TURN, and closes it. How
	// many messages came is its own to know.
	Take func(context.Context, net.Conn)
}

// Answer is what a provider said to one command.
type Answer struct {
	What  string
	Reply mail.Reply
}

// Request connects to the hop's host and sends r. It returns what the provider
// answered and where it is. The error is a [*ConnectError], or says which part of
// the request the provider does not offer; refusals are answers, not errors.
func (a *Agent) Request(ctx context.Context, hop mail.Hop, r Request) (remote string, answers []Answer, err error) {
	p, err := a.open(ctx, hop, zap.InfoLevel)
	if err != nil {
		return "", nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.wire.Close() })
	defer stop()
	if !p.ext.dequeuing(r.Verb) && hop.Options.Account != "" {
		// Some, Postroad among them, offer it only to who has said who it is.
		if err := a.hello(p, p.limits.Greeting); err != nil {
			_ = p.wire.Close()
			return p.remote, nil, a.asConnectError(p, err)
		}
	}
	if !p.ext.dequeuing(r.Verb) {
		p.quit(p.limits.Quit)
		return p.remote, nil, a.asConnectError(p, refuse(mail.Defer(mail.StatusProtocol, "the host does not offer "+r.Verb.String()+
			" to who asks like this; check host, port and credentials")))
	}
	if r.Verb == mail.ETRN {
		answers, err = p.etrn(r.What)
		if err != nil {
			return p.remote, answers, a.unanswered(p, r.Verb, err)
		}
		p.quit(p.limits.Quit)
		return p.remote, answers, nil
	}
	turned, answer, err := p.turn(r)
	if err != nil {
		return p.remote, nil, a.unanswered(p, r.Verb, err)
	}
	answers = []Answer{answer}
	if turned == nil {
		p.quit(p.limits.Quit)
		return p.remote, answers, nil
	}
	stop() // from here on the end of the connection is the server's business
	r.Take(ctx, turned)
	return p.remote, answers, nil
}

// unanswered is the end of a connection while a command was open.
func (a *Agent) unanswered(p *peer, verb mail.Dequeuing, err error) error {
	_ = p.wire.Close()
	return a.asConnectError(p, &ConnectError{Outcome: lost(err, verb.String()), Temporary: true, Err: err})
}

// etrn sends ETRN for each node (RFC 1985 section 5). One that is refused says
// nothing about the next.
func (p *peer) etrn(nodes []string) ([]Answer, error) {
	var answers []Answer
	for _, n := range nodes {
		r, err := p.ask(p.limits.Mail, "ETRN %s", n)
		if err != nil {
			return answers, err
		}
		answers = append(answers, Answer{n, r.keep()})
		if r.code == 421 {
			break
		}
	}
	return answers, nil
}

// turn sends ATRN or TURN; the connection is nil where the provider says no.
func (p *peer) turn(r Request) (net.Conn, Answer, error) {
	command, what := r.Verb.String(), strings.Join(r.What, ",")
	if what != "" {
		command += " " + what
	}
	reply, err := p.ask(turnWithin(p.limits), "%s", command)
	if err != nil {
		return nil, Answer{}, err
	}
	answer := Answer{what, reply.keep()}
	if reply.class() != 2 {
		return nil, answer, nil
	}
	if p.in.br.Buffered() > 0 {
		// The provider is a client now and waits for our greeting (RFC 2645 section 5.3).
		return nil, answer, protocolError("commands before the greeting of this side")
	}
	return p.wire.Conn, answer, p.wire.SetDeadline(time.Time{})
}

// turnWithin leaves a provider time to look for mail before it answers ATRN.
func turnWithin(t Timeouts) time.Duration { return max(t.Mail, 10*time.Minute) }
