package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Whoever gives up a connection for link state need not wait for a node that says nothing.
func TestLinkStateGivenUp(t *testing.T) {
	ours, theirs := certificate(t, "paris-1"), certificate(t, "paris-2")
	roots := x509.NewCertPool()
	roots.AddCert(theirs.Leaf)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &tlsFake{fake: fake{ext: []string{"X-LINK2STATE"}}, auth: "AUTH EXTERNAL", conf: &tls.Config{Certificates: []tls.Certificate{theirs}, ClientAuth: tls.RequireAnyClientCert}}
	asked := false
	f.fake.script = func(_, line string) string {
		if line == "X-LINK2STATE" {
			asked = true
			cancel()
			return "hang"
		}
		return ""
	}
	d := &pipeDialer{server: f.serve, tcp: true}
	a := New(Options{Hostname: "me.example", Dialer: d, NodeTLS: func(mail.GUID) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ours}, RootCAs: roots, ServerName: "paris-2"}
	}})
	start := time.Now()
	conn, err := a.LinkState(ctx, nodeHop())
	if err == nil {
		_ = conn.Close()
	}
	d.wg.Wait()
	if took := time.Since(start); err == nil || !asked || took > nodeTimeouts.Greeting/2 {
		t.Errorf("asked %v, %v after %v", asked, err, took)
	}
}
