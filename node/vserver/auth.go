package vserver

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/emersion/go-sasl"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
	"github.com/postroad/postroad/store/directory"
)

// authority is who vouches for a user.
type authority uint8

const (
	authorityDirectory authority = iota // an Account
	authorityDovecot
	authorityForwarded // a host that may send XCLIENT
)

// AuthMechanisms offers EXTERNAL to nodes; the engine takes PLAIN and LOGIN away
// where there is no TLS.
func (s *session) AuthMechanisms() []string {
	var list []string
	r := s.rules()
	if _, ok := s.nodeOfCertificate(); ok && !r.noIntegrated {
		list = append(list, sasl.External)
	}
	if !r.noBasic {
		// SCRAM hides the password, but whoever listens can guess it at leisure
		// (RFC 7677 section 4).
		if s.cipher != "" || r.basicInClear {
			list = append(list, smtpd.ScramSHA256Plus, smtpd.ScramSHA256)
		}
		list = append(list, sasl.Plain, sasl.Login)
	}
	return list
}

// Auth makes the server side of one of the mechanisms.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.External:
		return sasl.NewExternalServer(s.authNode), nil
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			// Nobody may act for somebody else.
			if identity != "" && !strings.EqualFold(identity, user) {
				return badCredentials()
			}
			return s.authUser(user, password)
		}), nil
	case sasl.Login:
		return &login{check: s.authUser}, nil
	case smtpd.ScramSHA256, smtpd.ScramSHA256Plus:
		return s.conn.Scram(mechanism, scramAccounts{s})
	}
	return nil, errors.New("mechanism not offered: " + mechanism)
}

// authUser checks a password: an Account's, or with the other source if the
// directory has no such Account. It takes as long for an unknown account.
func (s *session) authUser(name, password string) error {
	account, known := s.v.deps.Directory.Config().Account(name)
	if socket := s.rules().dovecot; !known && socket != "" {
		return s.authDovecot(socket, name, password)
	}
	if !directory.VerifyPassword(account.Spec.GetKeys(), password) || account.Spec.GetDisabled() {
		return s.v.refuse(s.log, "smtp_auth_failed", badCredentials(), zap.String("account", name), zap.Bool("disabled", account.Spec.GetDisabled()))
	}
	s.login(userOf(account), authorityDirectory)
	return nil
}

// scramAccounts are the directory's Accounts; their passwords never come here.
type scramAccounts struct{ s *session }

// ScramKeys implements smtpd.ScramAccounts.
func (a scramAccounts) ScramKeys(name string) (keys smtpd.ScramKeys, known bool, err error) {
	account, ok := a.s.v.deps.Directory.Config().Account(name)
	if !ok || account.Spec.GetDisabled() {
		return keys, false, nil
	}
	k := account.Spec.GetKeys()
	return smtpd.ScramKeys{Salt: k.GetSalt(), Iterations: int(k.GetIterations()), StoredKey: k.GetStoredKey(), ServerKey: k.GetServerKey()}, true, nil
}

// ScramLogin implements smtpd.ScramAccounts.
func (a scramAccounts) ScramLogin(identity, name string) error {
	account, ok := a.s.v.deps.Directory.Config().Account(name)
	if !ok || account.Spec.GetDisabled() || identity != "" && !strings.EqualFold(identity, name) {
		return a.s.v.refuse(a.s.log, "smtp_auth_failed", badCredentials(), zap.String("account", name))
	}
	a.s.login(userOf(account), authorityDirectory)
	return nil
}

func (s *session) login(u user, by authority) {
	s.user, s.source, s.client.account = u, by, u.name
}

func userOf(a directory.Account) user {
	return user{name: a.Name, recipient: a.Spec.GetRecipient(), sendAs: a.Spec.GetSendAs()}
}

func (s *session) authDovecot(socket, name, password string) error {
	local, _ := netip.ParseAddrPort(s.conn.LocalAddr().String())
	found, err := dovecot{socket}.check(s.conn.Context(), dovecotRequest{
		user: name, password: password, remote: s.client.ip, local: local.Addr(), tls: s.cipher != "",
	})
	switch {
	case errors.Is(err, errDovecotRefused):
		return s.v.refuse(s.log, "smtp_auth_failed", badCredentials(), zap.String("account", name), zap.String("source", "dovecot"))
	case err != nil:
		return s.v.refuse(s.log, "smtp_auth_failed", cannotAuthenticate(err), zap.String("account", name), zap.String("source", "dovecot"))
	}
	s.login(user{name: found}, authorityDovecot)
	return nil
}

// authNode takes the certificate's word. The authorization identity is empty
// or the node's own name (RFC 4422 appendix A).
func (s *session) authNode(identity string) error {
	guid, ok := s.nodeOfCertificate()
	if !ok {
		return badCredentials()
	}
	server, known := s.v.deps.Directory.Config().ServerByGUID(directory.GUID(guid))
	if identity != "" && !(known && strings.EqualFold(identity, server.Name)) {
		return s.v.refuse(s.log, "smtp_auth_failed", badCredentials(), zap.String("node", guid.String()), zap.String("identity", identity))
	}
	s.node, s.client.node = guid, true
	return nil
}

func (s *session) nodeOfCertificate() (mail.GUID, bool) {
	state, ok := s.conn.TLSConnectionState()
	if !ok || len(state.PeerCertificates) == 0 {
		return mail.GUID{}, false
	}
	return s.v.deps.Node(state)
}

// login is the server side of LOGIN, which go-sasl does not have: user name and
// password, each asked for.
type login struct {
	check func(user, password string) error
	user  *string
}

// Next implements sasl.Server.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.user, string(response))
}
