package gossip

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// pki is a certificate authority whose certificates carry a server's GUID as
// common name.
type pki struct {
	t     *testing.T
	pool  *x509.CertPool
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	certs map[mail.GUID]tls.Certificate
}

func newPKI(t *testing.T) *pki {
	p := &pki{t: t, pool: x509.NewCertPool(), certs: make(map[mail.GUID]tls.Certificate)}
	ca := p.issue("authority", true)
	p.cert, p.key = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	p.pool.AddCert(p.cert)
	for _, s := range everyone {
		p.certs[s] = p.issue(s.String(), false)
	}
	return p
}

func (p *pki) issue(name string, authority bool) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: authority, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if !authority {
		parent, signer = p.cert, p.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) secure(self mail.GUID, c *Config) {
	c.ServerTLS = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.certs[self]},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool,
	}
	c.Identify = holder
	c.ClientTLS = func(peer mail.GUID) (*tls.Config, error) { return p.client(self, peer), nil }
}

// client is how self dials peer.
func (p *pki) client(self, peer mail.GUID) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.certs[self]},
		InsecureSkipVerify: true, // names are checked below, as in package trust
		VerifyConnection: func(s tls.ConnectionState) error {
			if _, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: p.pool}); err != nil {
				return err
			}
			if g, err := holder(s); err != nil || g != peer {
				return errors.New("another server answered")
			}
			return nil
		},
	}
}

func holder(s tls.ConnectionState) (mail.GUID, error) {
	return mail.ParseGUID(s.PeerCertificates[0].Subject.CommonName)
}
