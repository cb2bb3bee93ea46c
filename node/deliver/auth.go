package deliver

import (
	"crypto/hmac"
	"crypto/md5" // what RFC 2195 is made of
	"encoding/base64"
	"encoding/hex"
	"errors"
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
	case p.ext.offersAuth(cramMD5):
		return p.auth(&cramClient{o.Account, secret}, limit)
	}
	return refuse(mail.Defer(statusCredentials, "the host offers none of AUTH PLAIN, LOGIN and CRAM-MD5, and the connector has an account"))
}

// cramMD5 is the mechanism that providers of ATRN must have (RFC 2645 section 5.1.2), and
// some have no other. It is the last choice: a host that knows it has the password itself.
const cramMD5 = "CRAM-MD5"

// cramClient is the client of CRAM-MD5 (RFC 2195 section 2).
type cramClient struct{ user, password string }

func (c *cramClient) Start() (string, []byte, error) { return cramMD5, nil, nil }

func (c *cramClient) Next(challenge []byte) ([]byte, error) {
	h := hmac.New(md5.New, []byte(c.password))
	h.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(h.Sum(nil))), nil
}

// maxCommand is how long a command may be, CRLF included (RFC 5321 section 4.5.3.1.4).
const maxCommand = 512

// maxChallenges ends a dialog with a host that never comes to a result.
const maxChallenges = 8

// auth runs one SASL exchange (RFC 4954 section 4). What a host says about it is cleared of
// what was sent: some repeat the command that they do not like, and their words go into
// logs and reports.
func (p *peer) auth(client sasl.Client, limit time.Duration) error {
	mechanism, initial, err := client.Start()
	if err != nil {
		return refuse(mail.Defer(statusCredentials, "AUTH: "+err.Error()))
	}
	command, held := "AUTH "+mechanism, false
	if initial != nil || mechanism == sasl.External {
		command += " " + encodeResponse(initial)
		if held = len(command)+2 > maxCommand; held {
			command = "AUTH " + mechanism // the response goes on a line of its own (RFC 4954 section 4)
		}
	}
	var said secrets
	said.add(initial)
	r, err := p.ask(limit, "%s", command)
	for range maxChallenges {
		var breach protocolError
		switch {
		case errors.As(err, &breach):
			return protocolError("the answer to AUTH " + mechanism + " is none") // and may hold what was sent
		case err != nil:
			return err
		}
		if r.class() == 2 {
			return nil
		}
		if r.code != 334 {
			e := refusedBy(mail.Deferred, statusCredentials, "the host refuses AUTH "+mechanism, r)
			said.hide(&e.Outcome)
			return e
		}
		answer := "*" // RFC 4954 section 4: cancels the exchange
		if held {
			answer, held = encodeResponse(initial), false
		} else if challenge, err := base64.StdEncoding.DecodeString(string(r.line(0))); err == nil {
			if response, err := client.Next(challenge); err == nil {
				answer = base64.StdEncoding.EncodeToString(response)
				said.add(response)
			}
		}
		r, err = p.ask(limit, "%s", answer)
	}
	return protocolError("AUTH without end")
}

// secrets is what a host was told in confidence, in each form that it may repeat.
type secrets []string

func (s *secrets) add(response []byte) {
	if len(response) == 0 {
		return
	}
	*s = append(*s, base64.StdEncoding.EncodeToString(response), string(response))
	if i := strings.LastIndexByte(string(response), 0); i >= 0 && i+1 < len(response) {
		*s = append(*s, string(response[i+1:])) // the password of PLAIN (RFC 4616 section 2)
	}
}

// hide takes them out of what is kept of a refusal.
func (s secrets) hide(o *mail.Outcome) {
	for _, secret := range s {
		o.Text = strings.ReplaceAll(o.Text, secret, "[hidden]")
		for i, l := range o.Reply.Lines {
			o.Reply.Lines[i] = strings.ReplaceAll(l, secret, "[hidden]")
		}
	}
}

// encodeResponse writes an initial response; an empty one is "=" (RFC 4954
// section 4).
func encodeResponse(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}
