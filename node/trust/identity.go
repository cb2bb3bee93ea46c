package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Identity is a holder's own certificate with the authority it trusts. It is
// safe for many goroutines. Its files may be renewed: the TLS configurations
// that it gave out use what [Identity.Reload] read last.
type Identity struct {
	Name  Name
	files Files

	mu  sync.Mutex // of reading
	now atomic.Pointer[material]
}

// material is what the files held when they were read.
type material struct {
	stamps [3]stamp
	cert   tls.Certificate
	pool   *x509.CertPool
}

// stamp tells one content of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// Files names the three PEM files of an identity.
type Files struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func (f Files) stamps() (all [3]stamp, err error) {
	for i, path := range []string{f.CA, f.Cert, f.Key} {
		st, err := os.Stat(path)
		if err != nil {
			return all, err
		}
		all[i] = stamp{st.ModTime(), st.Size()}
	}
	return all, nil
}

// Load reads an identity and checks that the authority really signed it.
func Load(f Files) (*Identity, error) {
	id := &Identity{files: f}
	m, name, err := read(f)
	if err != nil {
		return nil, err
	}
	id.Name = name
	id.now.Store(m)
	return id, nil
}

func read(f Files) (*material, Name, error) {
	// Stamps first: what changes while it is read is read again.
	stamps, _ := f.stamps()
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, Name{}, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, Name{}, fmt.Errorf("cluster CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, Name{}, fmt.Errorf("cluster CA %s: holds no certificate in PEM form", f.CA)
	}
	name, err := verify(pool, []*x509.Certificate{cert.Leaf}, "")
	if err != nil {
		return nil, Name{}, fmt.Errorf("certificate %s: %w; %s", f.Cert, err, cure(err, f))
	}
	return &material{stamps, cert, pool}, name, nil
}

// cure is what to do about a certificate of one's own that verify refused.
func cure(err error, f Files) string {
	if outOfDate(err) {
		return fmt.Sprintf("if this host's clock is right (%s), issue it again with postroad ca issue and copy %s and %s here",
			time.Now().UTC().Format(time.RFC3339), f.Cert, f.Key)
	}
	return fmt.Sprintf("issue it with postroad ca issue of the authority that made %s", f.CA)
}

// outOfDate says that a certificate is signed, but expired or not valid yet.
func outOfDate(err error) bool {
	invalid := x509.CertificateInvalidError{}
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// Reload reads the files again if they have changed since they were read. A
// certificate for somebody else, or one that the authority did not sign, is an
// error; then, and while a renewal is only half written, what was read before
// stays, and the next call tries again.
func (id *Identity) Reload() (changed bool, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	stamps, err := id.files.stamps()
	if err != nil {
		return false, err
	}
	if stamps == id.now.Load().stamps {
		return false, nil
	}
	m, name, err := read(id.files)
	switch {
	case err != nil:
		return false, err
	case name != id.Name:
		return false, fmt.Errorf("%s: is for %s; this is %s", id.files.Cert, name, id.Name)
	}
	id.now.Store(m)
	return true, nil
}

// NotAfter is when the certificate expires.
func (id *Identity) NotAfter() time.Time { return id.now.Load().cert.Leaf.NotAfter }

// Verify checks that a chain, leaf first, was signed by the cluster's authority
// and returns whom it names.
func (id *Identity) Verify(chain []*x509.Certificate) (Name, error) {
	return verify(id.now.Load().pool, chain, id.Name.Organization)
}

// verify is Verify; any organization will do when the own one is not known yet.
func verify(pool *x509.CertPool, chain []*x509.Certificate, organization string) (Name, error) {
	if len(chain) == 0 {
		return Name{}, errors.New("the peer showed no certificate")
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		if outOfDate(err) {
			return Name{}, err
		}
		return Name{}, fmt.Errorf("not signed by the cluster CA: %w", err)
	}
	n, err := NameOf(chain[0])
	if err != nil {
		return Name{}, err
	}
	if organization != "" && n.Organization != organization {
		return Name{}, fmt.Errorf("certificate of organization %q, this is %q", n.Organization, organization)
	}
	return n, nil
}

// PeerServer is the name of the node at the other end of a TLS connection, ""
// and false if the peer is not a node of this organisation.
func (id *Identity) PeerServer(s tls.ConnectionState) (string, bool) {
	n, err := id.Verify(s.PeerCertificates)
	return n.Name, err == nil && n.Role == RoleServer
}

func (id *Identity) serverCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &id.now.Load().cert, nil
}

func (id *Identity) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return &id.now.Load().cert, nil
}

// ServerTLS is for gossip, admin and etcd listeners: only holders of a
// certificate of this organisation may connect. crypto/tls asks for any
// certificate and VerifyConnection, which resumed sessions meet too, judges it by the
// authority of the moment.
func (id *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: id.serverCertificate,
		ClientAuth:     tls.RequireAnyClientCert,
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
		MinVersion:     tls.VersionTLS12,
		GetCertificate: id.serverCertificate,
		ClientAuth:     tls.RequestClientCert,
	}
}

// nodeProtocol is the ALPN name (RFC 7301) by which a node asks a mail listener
// for the certificate of the cluster: the listener may have others, for hosts.
const nodeProtocol = "postroad"

// AsksForNode says whether the client of a mail listener is a node that wants
// to see this one's certificate.
func AsksForNode(hello *tls.ClientHelloInfo) bool {
	return slices.Contains(hello.SupportedProtos, nodeProtocol)
}

// MailClientTLS is [Identity.ClientTLS] for a mail listener. The listener need
// not know the ALPN name: then it has the cluster's certificate alone.
func (id *Identity) MailClientTLS(server string) *tls.Config {
	c := id.ClientTLS(server)
	c.NextProtos = []string{nodeProtocol}
	return c
}

// ClientTLS is for connections to the node called server; any node of the
// organisation will do when server is empty.
func (id *Identity) ClientTLS(server string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: id.clientCertificate,
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
