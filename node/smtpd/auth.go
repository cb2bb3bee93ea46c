package smtpd

import (
	"encoding/base64"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mechanisms are those the session offers and the connection permits.
func (c *Conn) mechanisms() []string {
	a, ok := c.session.(Authenticator)
	if !ok || !c.esmtp || !c.cfg.offers(ExtAuth) || c.isBarred("AUTH") {
		return nil
	}
	var list []string
	for _, m := range a.AuthMechanisms() {
		if c.permits(m) {
			list = append(list, m)
		}
	}
	return list
}

// permits says whether the channel is good enough for a mechanism: passwords
// only under TLS (RFC 4954 section 4), EXTERNAL only with a certificate.
func (c *Conn) permits(mechanism string) bool {
	switch mechanism {
	case sasl.External:
		return c.tls != nil && len(c.tls.ConnectionState().PeerCertificates) > 0
	case ScramSHA256Plus:
		return c.bindable()
	case sasl.Plain, sasl.Login:
		return c.tls != nil || c.cfg.AllowInsecureAuth
	}
	return true
}

// auth is AUTH (RFC 4954 section 4).
func (c *Conn) auth(arg string) reply {
	if r := c.authRefused(); r.code != 0 {
		return r
	}
	name, rest, more := strings.Cut(arg, " ")
	if name == "" {
		return syntax("Syntax: AUTH mechanism [initial-response]")
	}
	name = upper(name)
	server, r := c.choose(name)
	if r.code != 0 {
		return r
	}
	var response []byte // nil: there was none
	if more {
		var err error
		if response, err = decodeResponse(rest); err != nil {
			return badBase64()
		}
	}
	return c.converse(name, server, response)
}

func (c *Conn) authRefused() reply {
	_, able := c.session.(Authenticator)
	switch {
	case c.session == nil || !c.esmtp:
		return outOfOrder("Send EHLO first")
	case !able || !c.cfg.offers(ExtAuth):
		return notImplemented("AUTH")
	case c.Authenticated():
		return outOfOrder("Already authenticated")
	case c.tx.open:
		return outOfOrder("AUTH is not allowed during a mail transaction")
	}
	return c.authBlocked()
}

// choose makes the server side of a mechanism that is offered.
func (c *Conn) choose(name string) (sasl.Server, reply) {
	a := c.session.(Authenticator)
	for _, m := range a.AuthMechanisms() {
		if m != name {
			continue
		}
		if !c.permits(m) && c.tls == nil && m != sasl.External {
			return nil, refuse(538, smtp.EnhancedCode{5, 7, 11}, "Encryption required for this mechanism; use STARTTLS")
		}
		if !c.permits(m) {
			break
		}
		s, err := a.Auth(name)
		if err != nil {
			return nil, c.sessionReply("AUTH", err, reply{code: 454, enh: smtp.EnhancedCode{4, 7, 0}, text: "Temporary authentication failure"})
		}
		return s, reply{}
	}
	return nil, refuse(504, enhParam, "Mechanism not offered")
}

func badBase64() reply { return refuse(501, enhSyn, "Not valid base64") }

// converse runs challenges and responses to their end.
func (c *Conn) converse(name string, server sasl.Server, response []byte) reply {
	for {
		challenge, done, err := server.Next(response)
		if err != nil {
			r := c.sessionReply("AUTH", err, reply{code: 535, enh: smtp.EnhancedCode{5, 7, 8}, text: "Authentication credentials invalid"})
			if r.code/100 == 4 {
				return r // no fault of the client's
			}
			r.fault = true
			return c.authFailed(name, r)
		}
		if done && len(challenge) == 0 {
			break
		}
		c.send(ok(334, none, base64.StdEncoding.EncodeToString(challenge)))
		line, err := c.readLine(maxAuthLine)
		if err != nil {
			return c.responseError(err)
		}
		if string(line) == "*" {
			return refuse(501, smtp.EnhancedCode{5, 7, 0}, "Authentication cancelled")
		}
		if response, err = decodeResponse(string(line)); err != nil {
			return badBase64()
		}
		if done {
			// The challenge was the mechanism's last word; the response is empty.
			break
		}
	}
	c.mechanism = name
	return ok(235, smtp.EnhancedCode{2, 7, 0}, "Authentication successful")
}

// responseError words an error of the exchange's lines; RFC 4954 section 4 has a code
// for one that is too long.
func (c *Conn) responseError(err error) reply {
	r := c.readError(err)
	if r.code == 500 && !r.close {
		r.enh = enhAuthLong
	}
	return r
}

// decodeResponse reads base64 as strictly as RFC 4954 section 4 asks for; "=" is
// the empty response. The result is never nil, which to a mechanism means that
// there was no response at all.
func decodeResponse(s string) ([]byte, error) {
	if s == "=" {
		return []byte{}, nil
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}
