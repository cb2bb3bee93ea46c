package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// An etcd of the administrator's own has its defaults: 128 operations a transaction.
func TestApplySplitsOnlyNewRecipients(t *testing.T) {
	cfg, _, err := EmbedConfig{Dir: t.TempDir()}.server()
	if err != nil {
		t.Fatal(err)
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.MaxTxnOps, cfg.MaxRequestBytes = embed.DefaultMaxTxnOps, embed.DefaultMaxRequestBytes
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	<-e.Server.ReadyNotify()
	d := openDirectory(t, (&Embedded{etcd: e, scheme: "http"}).Endpoints())
	objs := loadThreeSites(t)
	all := group("all")
	for i := range 300 {
		name := fmt.Sprintf("m%03d", i)
		m := mailbox(name, "oslo-1", name+"@example.test")
		for j := range i % 60 {
			m.GetRecipient().Addresses = append(m.GetRecipient().Addresses, fmt.Sprintf("%s.%d@example.test", name, j))
		}
		objs = append(objs, m)
		all.GetRecipient().GetGroup().Members = append(all.GetRecipient().GetGroup().Members, name)
	}
	objs = append(objs, all)
	for i, ch := range apply(t, d, objs...) {
		if ch.Action != directoryv1.Action_ACTION_CREATED || ch.After.Metadata.Revision == 0 {
			t.Fatalf("%s: %v %v", KeyOf(objs[i]), ch.Action, ch.After.Metadata)
		}
	}
	stored, _, err := d.List(t.Context(), "")
	if err != nil || len(stored) != len(objs) {
		t.Fatalf("%d objects stored, want %d; %v", len(stored), len(objs), err)
	}
	if err := Invalid(Validate(stored)); err != nil {
		t.Error(err)
	}
	// Changing existing ones is one transaction or none.
	for _, o := range stored {
		if r := o.GetRecipient(); r != nil {
			r.DisplayName += "!"
		}
	}
	requireIs(t, applyError(t, d, stored...), errTooLarge)
	if o := get(t, d, KindRecipient, "m000"); o.GetRecipient().GetDisplayName() != "" {
		t.Error("a part of the change was made")
	}
}

func TestEmbedWithTLS(t *testing.T) {
	files, config := certificates(t)
	e := startEtcd(t, EmbedConfig{TLS: files})
	defer e.Stop()
	d, err := Open(t.Context(), Config{Endpoints: e.Endpoints(), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	apply(t, d, loadThreeSites(t)...)
	anonymous, err := Open(t.Context(), Config{
		Endpoints: e.Endpoints(), TLS: &tls.Config{RootCAs: config.RootCAs}, RequestTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer anonymous.Close()
	if _, err := anonymous.Get(t.Context(), KindServer, "paris-1"); err == nil {
		t.Error("a client without a certificate got an answer")
	}
}

// certificates makes one self-signed certificate that is its own CA.
func certificates(t *testing.T) (*EmbedTLS, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := write("cert.pem", "CERTIFICATE", der)
	files := &EmbedTLS{CertFile: cert, KeyFile: write("key.pem", "PRIVATE KEY", private), CAFile: cert}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return files, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
}
