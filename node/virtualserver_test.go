package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

// talk types lines at an SMTP server and gives the last line of each reply.
type talk struct {
	c  net.Conn
	in *bufio.Reader
}

func (k *talk) reply() string {
	for {
		l, err := k.in.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if len(l) < 4 || l[3] != '-' {
			return strings.TrimSpace(l)
		}
	}
}

func (k *talk) say(line string) string {
	_, _ = io.WriteString(k.c, line+"\r\n")
	return k.reply()
}

func dialSMTP(t *testing.T, address string) (*talk, string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(4 * patience))
	k := &talk{c, bufio.NewReader(c)}
	return k, k.reply()
}

// edit changes a virtual server in the directory.
func (c *cluster) edit(name string, change func(*directoryv1.VirtualServer)) {
	c.t.Helper()
	o := c.object("VirtualServer", name)
	change(o.GetVirtualServer())
	c.apply(o)
}

// Settings change on a live node, each within a second, and the session that was
// there before goes on through all of it.
func TestVirtualServerOfALiveNode(t *testing.T) {
	const soon = time.Second * slowdown
	c := startCluster(t)
	at := c.members["paris-1"].smtp
	kept, _ := dialSMTP(t, at)
	kept.say("EHLO kept.example")
	original := proto.CloneOf(c.object("VirtualServer", "paris-1-smtp").GetVirtualServer())

	fresh := func() (*talk, string) {
		k, greeting := dialSMTP(t, at)
		if strings.HasPrefix(greeting, "220") {
			k.say("EHLO new.example")
		}
		return k, greeting
	}
	greeted := func() string { _, g := fresh(); return g }
	rcpt := func(from, to string) func() string {
		return func() string {
			k, _ := fresh()
			if r := k.say("MAIL FROM:<" + from + ">"); !strings.HasPrefix(r, "250") {
				return r
			}
			return k.say("RCPT TO:<" + to + ">")
		}
	}
	for _, step := range []struct {
		name   string
		change func(*directoryv1.VirtualServer)
		probe  func() string
		want   string
	}{
		{"greeting", func(v *directoryv1.VirtualServer) { v.Greeting = "Changed" }, greeted, "220 paris-1.example.test Changed"},
		{"connection control", func(v *directoryv1.VirtualServer) {
			v.ConnectionControl = &directoryv1.ConnectionControl{Networks: []string{"127.0.0.0/8"}}
		}, greeted, "554 5.7.1"},
		{"paused", func(v *directoryv1.VirtualServer) { v.State = directoryv1.RunState_RUN_STATE_PAUSED }, greeted, "421 4.3.2"},
		{"authentication", func(v *directoryv1.VirtualServer) {
			v.Authentication = &directoryv1.ServerAuthentication{Required: true}
		}, rcpt("a@outside.example", "alice@example.test"), "530 5.7.0"},
		{"anti-spoofing", func(v *directoryv1.VirtualServer) {
			v.SenderPolicy = &directoryv1.SenderPolicy{RefuseOwnDomains: true}
		}, rcpt("bob@example.test", "alice@example.test"), "550 5.7.1"},
		{"recipient filter", func(v *directoryv1.VirtualServer) {
			v.RecipientFilter = &directoryv1.RecipientFilter{Refused: []string{"alice@example.test"}}
		}, rcpt("a@outside.example", "alice@example.test"), "550 5.7.1"},
		{"relay", func(v *directoryv1.VirtualServer) {
			v.Relay = &directoryv1.RelayPolicy{Networks: []string{"127.0.0.0/8"}}
		}, rcpt("a@outside.example", "x@outside.example"), "250"},
		{"recipients", func(v *directoryv1.VirtualServer) { v.Limits = &directoryv1.InboundLimits{MaxConnections: 1} }, greeted, "421 4.7.0"},
		{"as before", func(*directoryv1.VirtualServer) {}, rcpt("a@outside.example", "x@outside.example"), "550 5.7.1"},
	} {
		v := proto.CloneOf(original)
		step.change(v)
		c.edit("paris-1-smtp", func(now *directoryv1.VirtualServer) { proto.Reset(now); proto.Merge(now, v) })
		eventually(t, soon, func() error {
			if got := step.probe(); !strings.HasPrefix(got, step.want) {
				return fmt.Errorf("%s: got %q, want %q", step.name, got, step.want)
			}
			return nil
		})
		if got := kept.say("NOOP"); !strings.HasPrefix(got, "250") {
			t.Fatalf("%s: the session from before was told %q", step.name, got)
		}
	}
	c.certificateOfItsOwn(kept)
	c.portTaken(kept)
	c.unresolvedHost()
	c.renewedIdentity()
}

// status waits for what a node says of a virtual server.
func (c *cluster) awaitStatus(node, name, state, reason string) {
	c.t.Helper()
	eventually(c.t, patience, func() error {
		// Any node can be asked.
		resp, err := nodev1.NewNodeServiceClient(c.api("berlin-1")).Objects(c.t.Context(), &nodev1.ObjectsRequest{Kind: "VirtualServer", Name: name, AllNodes: true})
		if err != nil {
			return err
		}
		for _, o := range resp.GetObjects() {
			if o.GetNode() == node && o.GetState() == state && strings.Contains(o.GetReason(), reason) && o.GetSinceUnixMs() > 0 {
				return nil
			}
		}
		return fmt.Errorf("%v, want %s because of %q", resp.GetObjects(), state, reason)
	})
}

// serialOf is the serial number of the certificate that strangers are shown.
func serialOf(t *testing.T, address string) string {
	t.Helper()
	client, err := smtp.DialStartTLS(address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	if err := client.Noop(); err != nil { // the handshake is lazy
		return err.Error()
	}
	state, _ := client.TLSConnectionState()
	return state.PeerCertificates[0].SerialNumber.String()
}

// A virtual server with a certificate of its own is still one that nodes use.
func (c *cluster) certificateOfItsOwn(kept *talk) {
	t, at := c.t, c.members["paris-1"].smtp
	own, err := trust.OpenAuthority(filepath.Join(c.dir, "other-ca"), "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(c.dir, "own.crt"), filepath.Join(c.dir, "own.key")
	before := serialOf(t, at)
	// First a file that is not there: reported, and nothing changes.
	c.edit("paris-1-smtp", func(v *directoryv1.VirtualServer) {
		v.Tls = &directoryv1.ServerTLS{CertificateFile: cert, KeyFile: key}
	})
	c.awaitStatus("paris-1", "paris-1-smtp", "degraded", "own.crt")
	if got := serialOf(t, at); got != before {
		t.Errorf("shown %s, want what ran before, %s", got, before)
	}
	if err := own.Issue(trust.Name{Organization: "somebody", Role: trust.RoleServer, Name: "mx"}, []string{"paris-1.example.test"}, cert, key, time.Now()); err != nil {
		t.Fatal(err)
	}
	c.awaitStatus("paris-1", "paris-1-smtp", "running", "") // tried again by itself
	after := serialOf(t, at)
	if after == before {
		t.Error("strangers are still shown the cluster's certificate")
	}
	l := newLetter("olav@example.test", "alice@example.test", "own-certificate")
	c.mustSend("oslo-1", l)
	c.awaitCopy("paris-1", "alice@example.test", l)

	// Renewed: read without a restart.
	if err := own.Issue(trust.Name{Organization: "somebody", Role: trust.RoleServer, Name: "mx"}, []string{"paris-1.example.test"}, cert, key, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if serialOf(t, at) == after {
			return fmt.Errorf("still shown %s", after)
		}
		return nil
	})
	if got := kept.say("NOOP"); !strings.HasPrefix(got, "250") {
		t.Errorf("the session from before was told %q", got)
	}
}

func (c *cluster) portTaken(kept *talk) {
	t, at := c.t, c.members["paris-1"].smtp
	host, _, _ := net.SplitHostPort(at)
	taken, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.edit("paris-1-smtp", func(v *directoryv1.VirtualServer) { v.Bindings = []string{taken.Addr().String()} })
	c.awaitStatus("paris-1", "paris-1-smtp", "degraded", "cannot listen on "+taken.Addr().String())
	if _, greeting := dialSMTP(t, at); !strings.HasPrefix(greeting, "220") {
		t.Errorf("the old binding greets with %q", greeting)
	}
	c.edit("paris-1-smtp", func(v *directoryv1.VirtualServer) { v.Bindings = []string{at} })
	c.awaitStatus("paris-1", "paris-1-smtp", "running", "")
	if got := kept.say("NOOP"); !strings.HasPrefix(got, "250") {
		t.Errorf("the session from before was told %q", got)
	}
}

// inbox is another system's mail host.
type inbox struct{ got chan string }

func (b inbox) NewSession(*smtp.Conn) (smtp.Session, error)       { return &inboxSession{b: b}, nil }
func (s *inboxSession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *inboxSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *inboxSession) Reset()                                    {}
func (s *inboxSession) Logout() error                             { return nil }
func (s *inboxSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.b.got <- s.to + "\n" + string(b)
	return err
}

type inboxSession struct {
	b  inbox
	to string
}

// Recipients of our domains that nobody knows go to the other system.
func (c *cluster) unresolvedHost() {
	t := c.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	box := inbox{make(chan string, 1)}
	s := smtp.NewServer(box)
	s.Domain = "unix.example.test"
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() { s.Close(); <-done }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	unix := newLetter("alice@example.test", "unix.user@example.test", "unresolved")
	if err := c.send("paris-2", unix); err == nil {
		t.Error("an unknown recipient was taken")
	}
	c.edit("paris-2-smtp", func(v *directoryv1.VirtualServer) { v.UnresolvedHost = "[127.0.0.1]:" + port })
	eventually(t, patience, func() error { return c.send("paris-2", unix) })
	select {
	case got := <-box.got:
		if !strings.HasPrefix(got, "unix.user@example.test\n") || !strings.Contains(got, unix.id) {
			t.Errorf("the other system got %q", got)
		}
	case <-time.After(patience):
		t.Error("the other system got nothing")
	}
}

// A node's renewed certificate is used without a restart.
func (c *cluster) renewedIdentity() {
	t, m := c.t, c.members["paris-2"]
	before := serialOf(t, m.smtp)
	c.issue(trust.Name{Organization: "example", Role: trust.RoleServer, Name: "paris-2"})
	eventually(t, patience, func() error {
		if serialOf(t, m.smtp) == before {
			return fmt.Errorf("still shown %s", before)
		}
		return nil
	})
	l := newLetter("olav@example.test", "alice@example.test", "renewed")
	c.mustSend("paris-2", l)
	c.awaitCopy("paris-1", "alice@example.test", l)
	// One for somebody else is not.
	after := serialOf(t, m.smtp)
	if err := os.WriteFile(m.cfg.TLS.Cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		b, err := os.ReadFile(c.logFile("paris-2"))
		if err == nil && !strings.Contains(string(b), `"identity_fault"`) {
			err = fmt.Errorf("no identity_fault in the log")
		}
		return err
	})
	if got := serialOf(t, m.smtp); got != after {
		t.Errorf("shown %s after a file that cannot be read, want %s", got, after)
	}
}
