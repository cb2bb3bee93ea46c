package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Statuses of the opening dialog (RFC 3463 section 3.8, RFC 5248).
var (
	statusSecurity    = mail.Status{Class: 4, Subject: 7}
	statusCredentials = mail.Status{Class: 4, Subject: 7, Detail: 8}
	statusNeedTLS     = mail.Status{Class: 4, Subject: 7, Detail: 10}
	statusNoMailHere  = mail.Status{Class: 5, Subject: 3, Detail: 2} // RFC 7504 section 5
)

// greet runs the opening dialog: greeting, EHLO, STARTTLS, EHLO, AUTH, as the
// hop asks.
func (a *Agent) greet(ctx context.Context, p *peer) error {
	limit := p.limits.Greeting
	r, err := p.await(limit)
	if err != nil {
		return err
	}
	if r.class() != 2 {
		return turnedAway(p, r)
	}
	if err := a.hello(p, limit); err != nil {
		return err
	}
	if err := a.secure(ctx, p, limit); err != nil {
		return err
	}
	if err := a.checkMirror(p); err != nil {
		return err
	}
	if p.hop.Options.RequireTLS && !p.ext.requireTLS {
		return refuse(mail.Fail(statusRequireTLS, "the host does not offer REQUIRETLS, which the sender asked for"))
	}
	if err := a.authenticate(p, limit); err != nil {
		return err
	}
	return p.unasked()
}

// turnedAway sorts a greeting that is a refusal. 521 says that the host never takes
// mail, whoever asks (RFC 7504 section 3): where all hosts of a domain say so, there is
// nothing to wait for. 554 may mean this client, or this hour (section 1 there), and so
// says no more about a message than a host that does not answer. What an administrator
// chose as the next hop he can change while the mail waits.
func turnedAway(p *peer, r *reply) *ConnectError {
	if r.code == 521 && p.hop.Kind == mail.HopMX && !p.at.smart {
		return refusedBy(mail.Failed, statusNoMailHere, "the host takes no mail at all", r)
	}
	return refusedBy(mail.Deferred, mail.StatusNoAnswer, "the host greets with a refusal", r)
}

// hello sends LHLO, EHLO, or HELO where the connector says so or the host does
// not know EHLO (RFC 5321 section 3.2).
func (a *Agent) hello(p *peer, limit time.Duration) error {
	p.ext = extensions{}
	verb := "EHLO"
	if p.hop.Kind == mail.HopLMTP {
		verb = "LHLO" // RFC 2033 section 4.1
	}
	if verb == "LHLO" || !p.hop.Options.UseHELO {
		r, err := p.ask(limit, "%s %s", verb, a.nameFor(p))
		if err != nil {
			return err
		}
		if r.class() == 2 {
			p.ext = parseExtensions(r)
			p.name = firstWord(r)
			return nil
		}
		if r.class() != 5 || verb == "LHLO" {
			return refusedBy(mail.Deferred, mail.StatusNoAnswer, "the host refuses "+verb, r)
		}
	}
	r, err := p.ask(limit, "HELO %s", a.nameFor(p))
	switch {
	case err != nil:
		return err
	case r.class() == 5:
		// The book, chapter 7, table 2, 5.5.0: the host cannot handle the protocol.
		return refusedBy(mail.Failed, mail.StatusProtocol, "the host refuses EHLO and HELO", r)
	case r.class() != 2:
		return refusedBy(mail.Deferred, mail.StatusNoAnswer, "the host refuses HELO", r)
	}
	p.name = firstWord(r)
	return nil
}

// nameFor is what this server calls itself: by its own name among nodes, by the
// one that is set for hosts outside.
func (a *Agent) nameFor(p *peer) string {
	if p.hop.Kind == mail.HopNode || p.hop.Kind == mail.HopLMTP {
		return a.opts.Hostname
	}
	return p.set.Hostname
}

func firstWord(r *reply) string {
	word, _, _ := strings.Cut(printable(r.line(0)), " ")
	return word
}

// checkMirror finds out that the next hop is this node itself (5.3.5). Nodes
// are told apart by their certificates, gateways may well share our name.
func (a *Agent) checkMirror(p *peer) error {
	if p.hop.Kind != mail.HopMX && p.hop.Kind != mail.HopSmartHost {
		return nil
	}
	if p.name == "" || !strings.EqualFold(p.name, a.opts.Hostname) && !strings.EqualFold(p.name, p.set.Hostname) {
		return nil
	}
	return refuse(mail.Fail(mail.StatusLoopsToSelf, fmt.Sprintf(
		"the next hop calls itself %s, which is this server: mail would loop back to where it is", p.name)))
}

// secure brings the channel up to what the hop's TLS policy asks for.
func (a *Agent) secure(ctx context.Context, p *peer, limit time.Duration) error {
	conf, must, err := a.tlsFor(p)
	if err != nil || conf == nil {
		return err
	}
	if !p.ext.startTLS {
		if p.hop.Options.RequireTLS {
			return refuse(mail.Fail(statusRequireTLS, "the host does not offer STARTTLS, and the sender asked for REQUIRETLS"))
		}
		if must {
			return refuse(mail.Defer(statusNeedTLS, "the host does not offer STARTTLS, which is required here"))
		}
		return nil
	}
	r, err := p.ask(limit, "STARTTLS")
	if err != nil {
		return err
	}
	if r.class() != 2 {
		if must {
			return refusedBy(mail.Deferred, statusNeedTLS, "the host refuses STARTTLS, which is required here", r)
		}
		return nil
	}
	if p.in.br.Buffered() > 0 {
		// Said in the clear by whoever sits on the line; RFC 3207 section 4.2
		// forbids to believe it, and an honest host would not have said it.
		return protocolError("replies in the clear after STARTTLS was agreed on")
	}
	return a.handshake(ctx, p, conf, must, limit)
}

func (a *Agent) handshake(ctx context.Context, p *peer, conf *tls.Config, must bool, limit time.Duration) error {
	hctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn := tls.Client(p.wire.Conn, conf)
	if err := conn.HandshakeContext(hctx); err != nil {
		if !must {
			return fmt.Errorf("%w: %w", errPlainNext, err)
		}
		text := "the TLS handshake failed: " + err.Error()
		if p.hop.Kind == mail.HopNode {
			text = fmt.Sprintf("the host did not prove to be %s: %v", p.hop.Name, err)
		}
		o := mail.Defer(statusSecurity, text)
		var forged *tls.CertificateVerificationError
		if p.hop.Options.RequireTLS && p.hop.Kind != mail.HopNode && errors.As(err, &forged) {
			// RFC 8689 section 4.2.1: a host that is not who it should be, as opposed to
			// one that could not be asked.
			o = mail.Fail(statusRequireTLS, "the sender asked for REQUIRETLS, and "+text)
		}
		e := refuse(o)
		e.Err = err
		return e
	}
	p.wire.Conn = conn
	p.tls, p.verified = true, !conf.InsecureSkipVerify || p.hop.Kind == mail.HopNode
	p.wrap()
	err := a.hello(p, limit)
	var refusal *ConnectError
	if err != nil && !must && !errors.As(err, &refusal) && !errors.Is(err, os.ErrDeadlineExceeded) {
		// With TLS 1.3 a server that does not like the handshake says so after it
		// (RFC 8446 section 4.4.4): this is a handshake that failed.
		return fmt.Errorf("%w: %w", errPlainNext, err)
	}
	return err
}

// tlsFor gives the settings of the channel, nil for none, and whether mail may
// not go without.
func (a *Agent) tlsFor(p *peer) (*tls.Config, bool, error) {
	if p.hop.Kind == mail.HopNode {
		if a.opts.NodeTLS != nil {
			if conf := a.opts.NodeTLS(p.hop.Server); conf != nil {
				return conf, true, nil
			}
		}
		return nil, false, refuse(mail.Defer(statusSecurity, "this node has no certificate with which to talk to "+p.hop.Name))
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.opts.TLS != nil {
		conf = a.opts.TLS.Clone()
	}
	conf.ServerName = strings.TrimSuffix(p.at.host, ".")
	if p.hop.Options.RequireTLS {
		if p.hop.Kind == mail.HopMX && !p.at.smart {
			// RFC 8689 section 4.2.1: what DNS says of the mail host needs DNSSEC or MTA-STS to
			// be believed. Without them only a certificate of the domain itself counts.
			conf.ServerName = p.hop.Domain
		}
		return conf, true, nil
	}
	switch p.hop.Options.TLS {
	case mail.TLSNone:
		return nil, false, nil
	case mail.TLSVerified:
		return conf, true, nil
	}
	// Without DANE or a policy there is no name worth verifying; encryption alone
	// defeats the passive listener (RFC 7435).
	conf.InsecureSkipVerify = true
	return conf, p.hop.Options.TLS == mail.TLSRequired, nil
}
