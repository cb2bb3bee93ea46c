package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

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
		// Read again for each connection, of which there are few: it may be renewed.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if now, err := tls.LoadX509KeyPair(f.Cert, f.Key); err == nil {
				return &now, nil
			}
			return &cert, nil
		}
	}
	return c, nil
}

// mayChange says whether a caller of the admin API over TCP may change anything.
func (n *Node) mayChange(s tls.ConnectionState) bool {
	name, err := n.identity.Verify(s.PeerCertificates)
	return err == nil && name.Role == trust.RoleAdmin
}

// fromNode says whether a caller of the admin API is a node of the organisation.
func (n *Node) fromNode(s tls.ConnectionState) bool {
	_, ok := n.identity.PeerServer(s)
	return ok
}

// lookAtIdentity is how often the node's certificate files are looked at.
const lookAtIdentity = time.Second

// remindOfIdentity is how long before its end a certificate is named each day.
const remindOfIdentity = 30 * 24 * time.Hour

// endsSoon says whether a certificate that is valid until then is to be named now.
func endsSoon(until, reminded, now time.Time) bool {
	return until.Sub(now) < remindOfIdentity && now.Sub(reminded) >= 24*time.Hour
}

// followIdentity takes over renewed certificates until ctx ends. Connections
// that are open keep what they began with.
func (n *Node) followIdentity(ctx context.Context) error {
	t := time.NewTicker(lookAtIdentity)
	defer t.Stop()
	fault, reminded := "", time.Time{}
	for {
		if until, now := n.identity.NotAfter(), time.Now(); endsSoon(until, reminded, now) {
			reminded = now
			n.log.Warn("identity_expires", zap.Time("valid_until", until), zap.String("cure",
				"issue it again with postroad ca issue and put the files in place, no restart is needed; past that time no other node speaks to this one"))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		changed, err := n.identity.Reload()
		if changed {
			n.log.Info("identity_renewed", zap.Time("valid_until", n.identity.NotAfter()))
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != fault && err != nil {
			n.log.Error("identity_fault", zap.Error(err), zap.String("cure", "the certificate read before stays in use; put the right files in place"))
		}
		fault = text
	}
}
