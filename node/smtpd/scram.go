package smtpd

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"hash"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// Names of the SCRAM mechanisms (RFC 7677).
const (
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

// ScramKeys is what an account has in place of a password (RFC 5802 section 3, RFC 5803).
type ScramKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// ScramAccounts is where SCRAM looks. An error of either is the reply to AUTH, as
// with every [sasl.Server].
type ScramAccounts interface {
	// ScramKeys finds the keys of an account. For an account that there is not,
	// known is false and keys may be empty: the engine then goes on with a salt of
	// its own, the same for the same name, and fails at the proof as with a wrong password.
	// Its Iterations should be those that the other accounts have; 0 means 10,000.
	ScramKeys(user string) (keys ScramKeys, known bool, err error)
	// ScramLogin lets the user in, who has proved to be one. identity is whom to act
	// for; "" for themselves.
	ScramLogin(identity, user string) error
}

const scramIterations = 10_000

var errScram = errors.New("SCRAM: the exchange failed")

// Scram is the server side of a SCRAM mechanism on this connection, for
// [Authenticator]'s Auth. Channel binding with SCRAM-SHA-256-PLUS is tls-exporter
// (RFC 9266; TLS 1.3) or tls-server-end-point (RFC 5929), as the client wants.
func (c *Conn) Scram(mechanism string, accounts ScramAccounts) (sasl.Server, error) {
	switch mechanism {
	case ScramSHA256, ScramSHA256Plus:
		return &scramServer{conn: c, plus: mechanism == ScramSHA256Plus, accounts: accounts}, nil
	}
	return nil, errors.New("SCRAM: no mechanism " + mechanism)
}

type scramServer struct {
	conn     *Conn
	plus     bool
	accounts ScramAccounts
	talk     *scram.ServerConversation
	known    bool
	lookup   error
	final    bool // the server's last message is on its way
}

// Next implements sasl.Server.
func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.final:
		// RFC 4954 section 4: the client acknowledges the last challenge with an empty line.
		if len(response) != 0 {
			return nil, false, errScram
		}
		return nil, true, s.accounts.ScramLogin(s.talk.AuthzID(), s.talk.Username())
	case s.talk == nil && response == nil:
		return []byte{}, false, nil // the client speaks first
	case s.talk == nil:
		if err := s.begin(string(response)); err != nil {
			return nil, false, err
		}
	}
	text, err := s.talk.Step(string(response))
	switch {
	case s.lookup != nil:
		return nil, false, s.lookup
	case err != nil:
		return nil, false, errScram
	case !s.talk.Done():
		return []byte(text), false, nil
	case !s.talk.Valid() || !s.known:
		return nil, false, errScram
	}
	s.final = true
	return []byte(text), false, nil
}

// begin chooses the channel binding by the client's first message (RFC 5802
// section 7): "n", "y" or "p=TYPE", and a comma.
func (s *scramServer) begin(first string) error {
	server, err := scram.SHA256.NewServer(s.credentials)
	if err != nil {
		return err
	}
	flag, _, _ := strings.Cut(first, ",")
	kind, bound := strings.CutPrefix(flag, "p=")
	if bound != s.plus {
		// RFC 5802 section 6: the name of the mechanism and the flag must agree.
		return errScram
	}
	if !bound {
		if s.conn.offersPlus() {
			// A client that could bind but was not told so is being deceived; it says "y".
			offered := scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: []byte{0}}
			s.talk = server.NewConversationWithChannelBinding(offered)
		} else {
			s.talk = server.NewConversation()
		}
		return nil
	}
	data, err := s.conn.channelBinding(kind)
	if err != nil {
		return err
	}
	s.talk = server.NewConversationWithChannelBindingRequired(scram.ChannelBinding{Type: scram.ChannelBindingType(kind), Data: data})
	return nil
}

// credentials answers for accounts that there are and for those that there are
// not, so that nobody learns which is which.
func (s *scramServer) credentials(user string) (scram.StoredCredentials, error) {
	k, known, err := s.accounts.ScramKeys(user)
	if err != nil {
		s.lookup = err
		return scram.StoredCredentials{}, err
	}
	s.known = known && len(k.Salt) > 0 && len(k.StoredKey) == sha256.Size
	if !s.known {
		iterations := k.Iterations
		if iterations <= 0 {
			iterations = scramIterations
		}
		k = ScramKeys{Salt: s.conn.server.secretFor("salt", user)[:16], Iterations: iterations,
			StoredKey: s.conn.server.secretFor("key", user), ServerKey: s.conn.server.secretFor("server", user)}
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
		StoredKey:  k.StoredKey, ServerKey: k.ServerKey,
	}, nil
}

// secretFor is a value that looks random to everybody else and is always the same here.
func (s *Server) secretFor(use, user string) []byte {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte(use + "\x00" + user))
	return h.Sum(nil)
}

// offersPlus says whether the session offers -PLUS on this connection.
func (c *Conn) offersPlus() bool {
	for _, m := range c.mechanisms() {
		if m == ScramSHA256Plus {
			return true
		}
	}
	return false
}

// bindable says whether the connection has something to bind to.
func (c *Conn) bindable() bool {
	return c.tls != nil && (c.tls.ConnectionState().Version >= tls.VersionTLS13 || c.leaf() != nil)
}

func (c *Conn) channelBinding(kind string) ([]byte, error) {
	if c.tls == nil {
		return nil, errScram
	}
	state := c.tls.ConnectionState()
	switch scram.ChannelBindingType(kind) {
	case scram.ChannelBindingTLSExporter:
		b, err := scram.NewTLSExporterBinding(&state)
		if err != nil {
			return nil, errScram
		}
		return b.Data, nil
	case scram.ChannelBindingTLSServerEndpoint:
		return endPoint(c.leaf())
	}
	// tls-unique is not safe and does not exist in TLS 1.3 (RFC 9266 section 3).
	return nil, errScram
}

// endPoint is tls-server-end-point (RFC 5929 section 4.1): the hash of the
// server's certificate with the hash of its signature, but never less than SHA-256.
func endPoint(leaf *x509.Certificate) ([]byte, error) {
	if leaf == nil {
		return nil, errScram
	}
	var h hash.Hash
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h = sha256.New()
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = sha512.New384()
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = sha512.New()
	default:
		return nil, errScram // undefined for signatures without a hash of their own (Ed25519)
	}
	h.Write(leaf.Raw)
	return h.Sum(nil), nil
}
