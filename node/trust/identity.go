package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Identity is a holder's own certificate with the authority it trusts. It is
// immutable and safe for many goroutines.
type Identity struct {
	Name Name
	cert tls.Certificate
	pool *x509.CertPool
}

// Files names the three PEM files of an identity.
type Files struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// Load reads an identity and checks that the authority really signed it.
func Load(f Files) (*Identity, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("cluster CA %s: holds no certificate in PEM form", f.CA)
	}
	id := &Identity{cert: cert, pool: pool}
	if id.Name, err = id.Verify([]*x509.Certificate{cert.Leaf}); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	return id, nil
}

// Verify checks that a chain, leaf first, was signed by the cluster's authority
// and returns whom it names.
func (id *Identity) Verify(chain []*x509.Certificate) (Name, error) {
	if len(chain) == 0 {
		return Name{}, errors.New("the peer showed no certificate")
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: id.pool, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return Name{}, fmt.Errorf("not signed by the cluster CA: %w", err)
	}
	n, err := NameOf(chain[0])
	if err != nil {
		return Name{}, err
	}
	if id.Name.Organization != "" && n.Organization != id.Name.Organization {
		return Name{}, fmt.Errorf("certificate of organization %q, this is %q", n.Organization, id.Name.Organization)
	}
	return n, nil
}

// PeerServer is the name of the node at the other end of a TLS connection, ""
// and false if the peer is not a node of this organisation.
func (id *Identity) PeerServer(s tls.ConnectionState) (string, bool) {
	n, err := id.Verify(s.PeerCertificates)
	return n.Name, err == nil && n.Role == RoleServer
}

// ServerTLS is for gossip, admin and etcd listeners: only holders of a
// certificate of this organisation may connect.
func (id *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    id.pool,
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := id.Verify(s.PeerCertificates)
			return err
		},
	}
}

// MailTLS is for SMTP listeners: strangers may use STARTTLS with or without a
// certificate of their own; whether a client is a node is asked of
// [Identity.PeerServer] later. RFC 8996 rules out TLS below 1.2.
func (id *Identity) MailTLS() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{id.cert},
		ClientAuth:   tls.RequestClientCert,
	}
}

// ClientTLS is for connections to the node called server; any node of the
// organisation will do when server is empty.
func (id *Identity) ClientTLS(server string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.cert},
		// The chain and the identity are checked below; host names are not (see
		// the package comment).
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			n, err := id.Verify(s.PeerCertificates)
			switch {
			case err != nil:
				return err
			case n.Role != RoleServer:
				return fmt.Errorf("the peer is %s, not a node", n)
			case server != "" && n.Name != server:
				return fmt.Errorf("the peer is node %q, expected %q", n.Name, server)
			}
			return nil
		},
	}
}
