package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/postroad/postroad/node/trust"
)

// etcdTLS is for the connection to etcd: an etcd of the cluster's own CA is
// known by its certificate's name, one with certificates of its own by its host
// name, as usual.
func (n *Node) etcdTLS() (*tls.Config, error) {
	f := n.cfg.Etcd.TLS
	if f == nil {
		return n.identity.ClientTLS(""), nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		b, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("etcd.tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("etcd.tls.ca %s: holds no certificate in PEM form", f.CA)
		}
	}
	if f.Cert != "" {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("etcd.tls.cert %s with key %s: %w", f.Cert, f.Key, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// mayChange says whether a caller of the admin API over TCP may change anything.
func (n *Node) mayChange(s tls.ConnectionState) bool {
	name, err := n.identity.Verify(s.PeerCertificates)
	return err == nil && name.Role == trust.RoleAdmin
}
