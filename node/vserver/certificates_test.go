package vserver

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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCertificateValidity(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), "now", 1, false, "now.test") // for a day, until an hour from now
	c, err := loadCertificates([]certificateFiles{{cert, key}})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[time.Duration]string{0: "", -24 * time.Hour: "is not valid before ", 2 * time.Hour: "expired on "} {
		err := c.invalid(time.Now().Add(in))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), cert)) {
			t.Errorf("in %s: %v", in, err)
		}
	}
}

// writePair writes a certificate for hosts, valid until an hour from now or, if
// expired, until an hour ago.
func writePair(t testing.TB, dir, name string, serial int64, expired bool, hosts ...string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	if expired {
		until = time.Now().Add(-time.Hour)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: until.Add(-24 * time.Hour), NotAfter: until, DNSNames: hosts, Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is the serial number of the certificate that a client is shown.
func (s *site) shown(c *tls.Config) int64 {
	s.t.Helper()
	p := s.connect()
	p.begin()
	p.say("STARTTLS", "220")
	c.InsecureSkipVerify = true
	conn := tls.Client(p.conn, c)
	if err := conn.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func askedForNode(h *tls.ClientHelloInfo) bool { return slices.Contains(h.SupportedProtos, "node") }

func TestCertificateByName(t *testing.T) {
	dir := t.TempDir()
	cert1, key1 := writePair(t, dir, "one", 101, false, "mx.example.test")
	cert2, key2 := writePair(t, dir, "two", 102, false, "mail.other.test", "*.wild.test")
	s := newSite(t, fmt.Sprintf(", tls: {certificateFile: %s, keyFile: %s, certificates: [{certificateFile: %s, keyFile: %s}]}", cert1, key1, cert2, key2), "",
		func(d *Deps) { d.ForNode = askedForNode })
	for name, want := range map[string]int64{
		"mx.example.test": 101, "mail.other.test": 102, "a.wild.test": 102, "unknown.test": 101, "": 101,
	} {
		if got := s.shown(&tls.Config{ServerName: name}); got != want {
			t.Errorf("%q is shown %d, want %d", name, got, want)
		}
	}
	// A node is shown the cluster's certificate, whatever name it uses, and can
	// authenticate with its own.
	if got := s.shown(&tls.Config{ServerName: "mail.other.test", NextProtos: []string{"node"}}); got != 1 {
		t.Errorf("a node is shown %d", got)
	}
	p := s.connect()
	p.begin()
	p.say("STARTTLS", "220")
	c := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"node"}, Certificates: []tls.Certificate{serial(t, nodeSerial)}})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	q := &typist{t, c, nil}
	q.in = newReader(c)
	q.say("EHLO paris-2", "250")
	q.say("AUTH EXTERNAL =", "235")
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, "one", 101, false, "mx.example.test")
	s := newSite(t, fmt.Sprintf(", tls: {certificateFile: %s, keyFile: %s}", cert, key), "")
	open := s.connect()
	open.startTLS()

	changed := func(want int64, state string, reason string) {
		t.Helper()
		s.set.renewCertificates()
		if got := s.shown(&tls.Config{}); got != want {
			t.Errorf("shown %d, want %d", got, want)
		}
		st := s.set.Status()[0]
		if st.State != state || !strings.Contains(st.Reason, reason) {
			t.Errorf("status %+v, want %s because of %q", st, state, reason)
		}
	}
	changed(101, StateRunning, "")
	// Only half of the new pair is there: the old one stays, and the fault shows.
	other, otherKey := writePair(t, dir, "two", 102, false, "mx.example.test")
	copyFile(t, otherKey, key)
	changed(101, StateDegraded, "private key does not match")
	copyFile(t, other, cert)
	changed(102, StateRunning, "")
	os.Remove(key)
	changed(102, StateDegraded, "no such file")
	copyFile(t, otherKey, key)
	changed(102, StateRunning, "")
	old, oldKey := writePair(t, dir, "old", 103, true, "mx.example.test")
	copyFile(t, old, cert)
	copyFile(t, oldKey, key)
	changed(103, StateDegraded, "expired on")
	// Without certificates of its own it has none that could be wrong.
	s.book.set(t, base+fmt.Sprintf(anyVirtualServer, ""))
	s.set.Update()
	changed(1, StateRunning, "")
	open.say("NOOP", "250") // nobody was disturbed
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, b)
	// Two writes within one tick of the clock must differ all the same.
	at := time.Now().Add(time.Duration(len(b)) * time.Second)
	if err := os.Chtimes(to, at, at); err != nil {
		t.Fatal(err)
	}
}

// A directory that names a certificate that cannot be read leaves what ran before
// running, and says so.
func TestBadCertificateInTheDirectory(t *testing.T) {
	s := newSite(t, "", "")
	s.book.set(t, base+fmt.Sprintf(anyVirtualServer, ", tls: {certificateFile: /nowhere, keyFile: /nowhere}, authentication: {required: true}"))
	s.set.Update()
	st := s.set.Status()[0]
	if st.State != StateDegraded || !strings.Contains(st.Reason, "tls: certificate /nowhere") {
		t.Errorf("%+v", st)
	}
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250") // as before
	s.book.set(t, base+fmt.Sprintf(anyVirtualServer, ""))
	s.set.Update()
	if st := s.set.Status()[0]; st.State != StateRunning || st.Reason != "" {
		t.Errorf("%+v", st)
	}
}
