package vserver

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// AuthMechanisms offers EXTERNAL to nodes; the engine takes PLAIN and LOGIN away
// where there is no TLS.
func (s *session) AuthMechanisms() []string {
	var list []string
	if _, ok := s.nodeOfCertificate(); ok {
		list = append(list, sasl.External)
	}
	if !s.rules().noBasic {
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
	}
	return nil, errors.New("mechanism not offered: " + mechanism)
}

// authUser checks a password. It takes as long for an unknown account.
func (s *session) authUser(user, password string) error {
	account, _ := s.v.deps.Directory.Config().Account(user)
	if !directory.VerifyPassword(account.Spec.GetKeys(), password) {
		s.log.Info("smtp_auth_failed", zap.String("account", user))
		return badCredentials()
	}
	s.client.account = account.Name
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
		s.log.Info("smtp_auth_failed", zap.String("node", guid.String()), zap.String("identity", identity))
		return badCredentials()
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
