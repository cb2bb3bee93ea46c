package trust

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func issue(t *testing.T, a *Authority, dir string, n Name) *Identity {
	t.Helper()
	f := Files{
		CA:   filepath.Join(dir, AuthorityCert),
		Cert: filepath.Join(dir, n.Name+".crt"),
		Key:  filepath.Join(dir, n.Name+".key"),
	}
	if err := a.Issue(n, []string{"localhost", "127.0.0.1"}, f.Cert, f.Key, time.Now()); err != nil {
		t.Fatal(err)
	}
	id, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func authority(t *testing.T, org string) (*Authority, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := OpenAuthority(dir, org, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// handshake returns the errors of client and server.
func handshake(client, server *tls.Config) (error, error) {
	c, s := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	_ = c.SetDeadline(deadline)
	_ = s.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(s, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		if err != nil {
			s.Close()
		}
		done <- err
	}()
	conn := tls.Client(c, client)
	err := conn.Handshake()
	if err == nil {
		_, err = conn.Read(make([]byte, 1)) // a TLS 1.3 server's refusal arrives after the client's handshake
	}
	c.Close()
	return err, <-done
}

func TestWhoMayTalkToWhom(t *testing.T) {
	a, dir := authority(t, "example")
	paris := issue(t, a, dir, Name{"example", RoleServer, "paris-1"})
	oslo := issue(t, a, dir, Name{"example", RoleServer, "oslo-1"})
	admin := issue(t, a, dir, Name{"example", RoleAdmin, "root"})
	b, dirB := authority(t, "example")
	impostor := issue(t, b, dirB, Name{"example", RoleServer, "paris-1"})

	for _, c := range []struct {
		name           string
		client, server *tls.Config
		want           string // part of either side's error; "" for success
	}{
		{"node to node", oslo.ClientTLS("paris-1"), paris.ServerTLS(), ""},
		{"any node will do", admin.ClientTLS(""), paris.ServerTLS(), ""},
		{"wrong node answers", oslo.ClientTLS("berlin-1"), paris.ServerTLS(), `expected "berlin-1"`},
		{"other authority answers", oslo.ClientTLS("paris-1"), impostor.ServerTLS(), "not signed by the cluster CA"},
		{"other authority asks", impostor.ClientTLS("paris-1"), paris.ServerTLS(), "certificate"},
		{"an admin is no node", oslo.ClientTLS("root"), admin.ServerTLS(), "not a node"},
		{"stranger asks gossip", &tls.Config{InsecureSkipVerify: true}, paris.ServerTLS(), "certificate"},
		{"stranger sends mail", &tls.Config{InsecureSkipVerify: true}, paris.MailTLS(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ce, se := handshake(c.client, c.server)
			all := ""
			for _, e := range []error{ce, se} {
				if e != nil {
					all += e.Error() + "; "
				}
			}
			if c.want == "" && all != "" || !strings.Contains(all, c.want) || c.want != "" && all == "" {
				t.Errorf("errors %q, want %q", all, c.want)
			}
		})
	}
}

func TestPeerServer(t *testing.T) {
	a, dir := authority(t, "example")
	paris := issue(t, a, dir, Name{"example", RoleServer, "paris-1"})
	admin := issue(t, a, dir, Name{"example", RoleAdmin, "root"})
	if n, ok := paris.PeerServer(tls.ConnectionState{PeerCertificates: nil}); ok {
		t.Errorf("no certificate: got %q", n)
	}
	state := tls.ConnectionState{}
	state.PeerCertificates = append(state.PeerCertificates, paris.now.Load().cert.Leaf)
	if n, ok := admin.PeerServer(state); !ok || n != "paris-1" {
		t.Errorf("node's certificate: got %q %v", n, ok)
	}
	state.PeerCertificates[0] = admin.now.Load().cert.Leaf
	if _, ok := paris.PeerServer(state); ok {
		t.Error("an administrator's certificate passed for a node's")
	}
}

func TestAuthorityIsKept(t *testing.T) {
	_, dir := authority(t, "example")
	before, err := os.ReadFile(filepath.Join(dir, AuthorityCert))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, "example", time.Now()); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, AuthorityCert))
	if err != nil || string(before) != string(after) {
		t.Errorf("opening changed the certificate (%v)", err)
	}
	if _, err := OpenAuthority(dir, "other", time.Now()); err == nil || !strings.Contains(err.Error(), `belongs to organization`) {
		t.Errorf("other organisation: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, authorityKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, "example", time.Now()); err == nil || !strings.Contains(err.Error(), "restore both") {
		t.Errorf("half a pair: %v", err)
	}
}

func TestReload(t *testing.T) {
	a, dir := authority(t, "example")
	paris := Name{"example", RoleServer, "paris-1"}
	id := issue(t, a, dir, paris)
	oslo := issue(t, a, dir, Name{"example", RoleServer, "oslo-1"})
	server, client := id.ServerTLS(), oslo.ClientTLS("paris-1")
	serial := func() string { return id.now.Load().cert.Leaf.SerialNumber.String() }
	first := serial()
	if changed, err := id.Reload(); changed || err != nil {
		t.Errorf("nothing changed: %v %v", changed, err)
	}
	renew := func(a *Authority, n Name) {
		t.Helper()
		if err := a.Issue(n, nil, id.files.Cert, id.files.Key, time.Now()); err != nil {
			t.Fatal(err)
		}
		// The clock of the file system may be coarser than this test is fast.
		later := time.Now().Add(time.Duration(len(serial())) * time.Hour)
		if err := os.Chtimes(id.files.Cert, later, later); err != nil {
			t.Fatal(err)
		}
	}
	renew(a, paris)
	if changed, err := id.Reload(); !changed || err != nil || serial() == first {
		t.Errorf("renewed: %v %v", changed, err)
	}
	second := serial()
	if ce, se := handshake(client, server); ce != nil || se != nil {
		t.Errorf("with the configurations from before: %v %v", ce, se)
	}
	// What must not be taken over: somebody else's, another authority's, half a pair.
	renew(a, Name{"example", RoleServer, "berlin-1"})
	if changed, err := id.Reload(); changed || err == nil || !strings.Contains(err.Error(), "is for") {
		t.Errorf("somebody else's: %v %v", changed, err)
	}
	b, _ := authority(t, "example")
	renew(b, paris)
	if changed, err := id.Reload(); changed || err == nil || !strings.Contains(err.Error(), "not signed by the cluster CA") {
		t.Errorf("another authority's: %v %v", changed, err)
	}
	os.Remove(id.files.Key)
	if changed, err := id.Reload(); changed || err == nil {
		t.Errorf("half a pair: %v %v", changed, err)
	}
	if serial() != second {
		t.Error("a bad file replaced a good certificate")
	}
	renew(a, paris)
	if changed, err := id.Reload(); !changed || err != nil {
		t.Errorf("mended: %v %v", changed, err)
	}
}

// A mail listener may have other certificates: a node says that it wants the cluster's.
func TestAsksForNode(t *testing.T) {
	a, dir := authority(t, "example")
	paris := issue(t, a, dir, Name{"example", RoleServer, "paris-1"})
	oslo := issue(t, a, dir, Name{"example", RoleServer, "oslo-1"})
	for name, c := range map[string]struct {
		client *tls.Config
		want   bool
	}{
		"node": {oslo.MailClientTLS("paris-1"), true}, "gossip": {oslo.ClientTLS("paris-1"), false},
		"stranger": {&tls.Config{InsecureSkipVerify: true, ServerName: "mx.test"}, false},
	} {
		server, asked := paris.MailTLS(), false
		get := server.GetCertificate
		server.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked = AsksForNode(h)
			return get(h)
		}
		if ce, se := handshake(c.client, server); ce != nil || se != nil || asked != c.want {
			t.Errorf("%s: %v %v, asked %v", name, ce, se, asked)
		}
	}
}

// What is wrong with a certificate of one's own, and what to do.
func TestLoadSaysTheCure(t *testing.T) {
	a, dir := authority(t, "example")
	_, otherDir := authority(t, "example")
	paris := Name{"example", RoleServer, "paris-1"}
	f := Files{CA: filepath.Join(dir, AuthorityCert), Cert: filepath.Join(dir, "p.crt"), Key: filepath.Join(dir, "p.key")}
	for _, c := range []struct {
		made time.Duration
		ca   string
		want []string
	}{
		{-398 * 24 * time.Hour, dir, []string{"certificate " + f.Cert, "has expired", "issue it again with postroad ca issue", "if this host's clock is right"}},
		{24 * time.Hour, dir, []string{"not yet valid", "if this host's clock is right"}},
		{0, otherDir, []string{"not signed by the cluster CA", "issue it with postroad ca issue of the authority that made " + filepath.Join(otherDir, AuthorityCert)}},
	} {
		if err := a.Issue(paris, nil, f.Cert, f.Key, time.Now().Add(c.made)); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Files{CA: filepath.Join(c.ca, AuthorityCert), Cert: f.Cert, Key: f.Key})
		if err == nil {
			t.Errorf("%v: it was taken", c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("the error lacks %q: %v", w, err)
			}
		}
		if c.ca == dir && strings.Contains(err.Error(), "not signed") {
			t.Errorf("it is signed: %v", err)
		}
	}
}
