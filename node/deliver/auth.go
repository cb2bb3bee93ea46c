package deliver

import (
	"encoding/base64"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/postroad/postroad/node/mail"
)

// authenticate proves who we are: to nodes by the certificate (EXTERNAL), to
// others by the connector's account. Its failures are an administrator's
// matter, so the mail waits.
func (a *Agent) authenticate(p *peer, limit time.Duration) error {
	if p.hop.Kind == mail.HopNode {
		if !p.ext.offersAuth(sasl.External) {
			return refuse(mail.Defer(statusSecurity, "the host does not offer AUTH EXTERNAL: it does not see this server as a node of its organization"))
		}
		if err := p.auth(sasl.NewExternalClient(""), limit); err != nil {
			return err
		}
		// What a node offers to nodes alone, XPOSTROAD, it offers only now.
		return a.hello(p, limit)
	}
	o := p.hop.Options
	if o.Account == "" || len(o.Smart) > 0 && !p.at.smart {
		return nil // the account is one at the smart host
	}
	if !p.tls {
		return refuse(mail.Defer(statusNeedTLS, "the connector has an account, and its password is not sent in the clear; the host must offer STARTTLS"))
	}
	password, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return refuse(mail.Defer(statusCredentials, "the connector's password cannot be read: "+err.Error()))
	}
	secret := strings.TrimRight(string(password), "\r\n")
	switch {
	case p.ext.offersAuth(sasl.Plain):
		return p.auth(sasl.NewPlainClient("", o.Account, secret), limit)
	case p.ext.offersAuth(sasl.Login):
		return p.auth(sasl.NewLoginClient(o.Account, secret), limit)
	}
	return refuse(mail.Defer(statusCredentials, "the host offers neither AUTH PLAIN nor AUTH LOGIN, and the connector has an account"))
}

// maxChallenges ends a dialog with a host that never comes to a result.
const maxChallenges = 8

// auth runs one SASL exchange (RFC 4954 section 4).
func (p *peer) auth(client sasl.Client, limit time.Duration) error {
	mechanism, initial, err := client.Start()
	if err != nil {
		return refuse(mail.Defer(statusCredentials, "AUTH: "+err.Error()))
	}
	command := "AUTH " + mechanism
	if initial != nil || mechanism == sasl.External {
		command += " " + encodeResponse(initial)
	}
	r, err := p.ask(limit, "%s", command)
	for range maxChallenges {
		if err != nil {
			return err
		}
		if r.class() == 2 {
			return nil
		}
		if r.code != 334 {
			return refusedBy(mail.Deferred, statusCredentials, "the host refuses AUTH "+mechanism, r)
		}
		answer := "*" // RFC 4954 section 4: cancels the exchange
		if challenge, err := base64.StdEncoding.DecodeString(string(r.line(0))); err == nil {
			if response, err := client.Next(challenge); err == nil {
				answer = base64.StdEncoding.EncodeToString(response)
			}
		}
		r, err = p.ask(limit, "%s", answer)
	}
	return protocolError("AUTH without end")
}

// encodeResponse writes an initial response; an empty one is "=" (RFC 4954
// section 4).
func encodeResponse(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}
