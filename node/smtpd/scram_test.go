package smtpd_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"

	"github.com/postroad/postroad/node/smtpd"
)

// scramSession is a session whose only account is alice with the password "secret".
type scramSession struct {
	discard
	conn *smtpd.Conn
	log  *eventLog
	keys smtpd.ScramKeys
	list []string
}

func (s *scramSession) AuthMechanisms() []string              { return s.list }
func (s *scramSession) Auth(mech string) (sasl.Server, error) { return s.conn.Scram(mech, s) }
func (s *scramSession) Mail(f string, o *smtp.MailOptions) error {
	s.log.add("mail%s", describeMail(o))
	return nil
}

func (s *scramSession) ScramKeys(user string) (smtpd.ScramKeys, bool, error) {
	switch user {
	case "alice":
		return s.keys, true, nil
	case "away":
		return smtpd.ScramKeys{}, false, &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Directory away"}
	}
	return smtpd.ScramKeys{}, false, nil
}

func (s *scramSession) ScramLogin(identity, user string) error {
	if identity != "" && identity != user {
		return errors.New("nobody may act for others")
	}
	s.log.add("login %s", user)
	return nil
}

func scramBackend(t *testing.T, log *eventLog, mechanisms ...string) smtpd.Backend {
	client, err := scram.SHA256.NewClient("alice", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 10000})
	if err != nil {
		t.Fatal(err)
	}
	keys := smtpd.ScramKeys{Salt: []byte(k.Salt), Iterations: k.Iters, StoredKey: k.StoredKey, ServerKey: k.ServerKey}
	return smtpd.BackendFunc(func(c *smtpd.Conn) (smtpd.Session, error) {
		return &scramSession{conn: c, log: log, keys: keys, list: mechanisms}, nil
	})
}

// scramTalk is a client's exchange up to its last answer.
func (d *dialogue) scramTalk(mechanism string, talk *scram.ClientConversation) string {
	d.t.Helper()
	first, err := talk.Step("")
	if err != nil {
		d.t.Fatal(err)
	}
	send := "AUTH " + mechanism + " " + base64.StdEncoding.EncodeToString([]byte(first)) + "\r\n"
	for {
		io.WriteString(d, send)
		reply := d.read()
		challenge, more := strings.CutPrefix(reply, "334 ")
		if !more {
			return reply
		}
		text, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			d.t.Fatal(reply, err)
		}
		answer, err := talk.Step(string(text))
		if err != nil {
			return err.Error()
		}
		send = base64.StdEncoding.EncodeToString([]byte(answer)) + "\r\n"
	}
}

// RFC 5802, RFC 7677, RFC 9266, RFC 5929.
func TestScram(t *testing.T) {
	log := &eventLog{}
	both := []string{smtpd.ScramSHA256Plus, smtpd.ScramSHA256}
	cert := certificate(t, "mail1.example.com")
	config := smtpd.Config{Hostname: "mail1.example.com", TLS: &tls.Config{Certificates: []tls.Certificate{cert, certificate(t, "other.example.com")}},
		AuthFailureDelay: -1, MaxAuthFailuresPerClient: -1}
	leaf := sha256.Sum256(cert.Certificate[0]) // signed with ECDSA and SHA-256
	exporter := func(s tls.ConnectionState) scram.ChannelBinding {
		b, err := scram.NewTLSExporterBinding(&s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	endPoint := func(tls.ConnectionState) scram.ChannelBinding {
		return scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: leaf[:]}
	}
	wrong := func(tls.ConnectionState) scram.ChannelBinding {
		return scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: make([]byte, 32)}
	}
	unique := func(tls.ConnectionState) scram.ChannelBinding {
		return scram.ChannelBinding{Type: scram.ChannelBindingTLSUnique, Data: make([]byte, 12)}
	}
	for _, c := range []struct {
		name      string
		offer     []string
		version   uint16
		mechanism string
		user      string
		password  string
		identity  string
		binding   func(tls.ConnectionState) scram.ChannelBinding
		sees      []string // what the client believes to be offered
		want      string
	}{
		{"plain", both, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "secret", "", nil, nil, "235 2.7.0"},
		{"in any case", both, tls.VersionTLS13, "scram-sha-256", "alice", "secret", "alice", nil, nil, "235 2.7.0"},
		{"in clear", []string{smtpd.ScramSHA256}, 0, smtpd.ScramSHA256, "alice", "secret", "", nil, nil, "235 2.7.0"},
		{"plus, exporter", both, tls.VersionTLS13, smtpd.ScramSHA256Plus, "alice", "secret", "", exporter, nil, "235 2.7.0"},
		{"plus, end point", both, tls.VersionTLS13, smtpd.ScramSHA256Plus, "alice", "secret", "", endPoint, nil, "235 2.7.0"},
		{"plus, end point, TLS 1.2", both, tls.VersionTLS12, smtpd.ScramSHA256Plus, "alice", "secret", "", endPoint, nil, "235 2.7.0"},
		{"plus, of another connection", both, tls.VersionTLS13, smtpd.ScramSHA256Plus, "alice", "secret", "", wrong, nil, "535 5.7.8"},
		{"plus, unsafe binding", both, tls.VersionTLS12, smtpd.ScramSHA256Plus, "alice", "secret", "", unique, nil, "535 5.7.8"},
		{"plus in clear", both, 0, smtpd.ScramSHA256Plus, "alice", "secret", "", exporterless, nil, "538 5.7.11"},
		{"plus without a binding", both, tls.VersionTLS13, smtpd.ScramSHA256Plus, "alice", "secret", "", nil, nil, "535 5.7.8"},
		{"binding without plus", both, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "secret", "", exporter, nil, "535 5.7.8"},
		{"somebody took plus off the list", both, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "secret", "", nil, []string{smtpd.ScramSHA256}, "535 5.7.8"},
		{"nobody did", []string{smtpd.ScramSHA256}, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "secret", "", nil, []string{smtpd.ScramSHA256}, "235 2.7.0"},
		{"wrong password", both, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "Secret", "", nil, nil, "535 5.7.8"},
		{"unknown", both, tls.VersionTLS13, smtpd.ScramSHA256, "nobody", "secret", "", nil, nil, "535 5.7.8"},
		{"for another", both, tls.VersionTLS13, smtpd.ScramSHA256, "alice", "secret", "boss", nil, nil, "535 5.7.8"},
		{"directory away", both, tls.VersionTLS13, smtpd.ScramSHA256, "away", "secret", "", nil, nil, "454 4.7.0"},
		{"not offered", []string{smtpd.ScramSHA256}, tls.VersionTLS13, smtpd.ScramSHA256Plus, "alice", "secret", "", exporter, nil, "504 5.5.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, address := serveTCP(t, config, scramBackend(t, log, c.offer...))
			d := dial(t, address)
			d.expect("", "220 ")
			d.expect("EHLO c.example\r\n", "250-")
			var state tls.ConnectionState
			if c.version > 0 {
				d.expect("STARTTLS\r\n", "220 ")
				d.handshake(&tls.Config{InsecureSkipVerify: true, ServerName: "mail1.example.com", MinVersion: c.version, MaxVersion: c.version})
				state = d.Conn.(*tls.Conn).ConnectionState()
				d.expect("EHLO c.example\r\n", "250-")
			}
			client, err := scram.SHA256.NewClient(c.user, c.password, c.identity)
			if err != nil {
				t.Fatal(err)
			}
			talk := client.NewConversation()
			if c.binding != nil {
				talk = client.NewConversationWithChannelBinding(c.binding(state))
			} else if c.sees != nil {
				talk = client.NewConversationAdvertisingChannelBinding()
			}
			if got := d.scramTalk(c.mechanism, talk); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			in := log.take()
			if (c.want[0] == '2') != (len(in) == 1) {
				t.Errorf("let in: %q", in)
			}
		})
	}
}

func exporterless(tls.ConnectionState) scram.ChannelBinding {
	return scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: make([]byte, 32)}
}

// Who asks for accounts that there are not gets a salt like everybody else's,
// and the same one when asking again.
func TestScramHidesWhoThereIs(t *testing.T) {
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com", AuthFailureDelay: -1, MaxErrors: 100, MaxAuthFailures: -1},
		scramBackend(t, &eventLog{}, smtpd.ScramSHA256))
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("EHLO c.example\r\n", "250-")
	challenge := func(user string) (salt, rest string) {
		io.WriteString(d, "AUTH SCRAM-SHA-256 "+base64.StdEncoding.EncodeToString([]byte("n,,n="+user+",r=nonce"))+"\r\n")
		text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(d.read(), "334 "))
		if err != nil {
			t.Fatal(err)
		}
		d.expect("*\r\n", "501 5.7.0")
		f := strings.Split(string(text), ",")
		if len(f) != 3 || !strings.HasPrefix(f[0], "r=nonce") {
			t.Fatalf("%s: %q", user, text)
		}
		return f[1], f[2]
	}
	known, iterations := challenge("alice")
	one, i1 := challenge("nobody")
	again, i2 := challenge("nobody")
	other, i3 := challenge("somebody")
	if one != again || one == other || one == known || len(one) != len(known) || i1 != iterations || i2 != iterations || i3 != iterations {
		t.Errorf("alice %s %s, nobody %s %s, again %s %s, somebody %s %s", known, iterations, one, i1, again, i2, other, i3)
	}
	// The server speaks last in the exchange; a client may also begin without an
	// initial response, and say something where nothing is to be said.
	d.expect("AUTH SCRAM-SHA-256\r\n", "334 ")
	d.expect("bm9uc2Vuc2U=\r\n", "535 5.7.8")
}
