package deliver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// twoHosts is a domain with two mail hosts, the better one first.
func twoHosts(o *Options) {
	o.Resolver = &phoneBook{mx: map[string][]mail.Host{"x.example": {{Name: "mx1.x.example", Addrs: ips("192.0.2.1")}, {Name: "mx2.x.example", Addrs: ips("192.0.2.2")}}}}
}

// A host that greets with 521 never takes mail (RFC 7504): the next one is tried, and
// when all say so the mail is returned. 554 may be about this client only, so it waits;
// and so it does behind a smart host, which an administrator can change.
func TestGreetingsThatRefuse(t *testing.T) {
	mx := mail.Hop{Kind: mail.HopMX, Name: "x.example (MX)", Domain: "x.example"}
	smart := mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Hosts: []string{"192.0.2.1", "192.0.2.2"}}
	lmtp := mail.Hop{Kind: mail.HopLMTP, Name: "store", Hosts: []string{"192.0.2.1:24", "192.0.2.2:24"}}
	direct := mx
	direct.Options.Smart = []string{"[192.0.2.9]"}
	const never, no, busy, gone = "521 mx.example takes no mail", "554 no SMTP service here", "421 4.3.2 try later", "drop"
	for name, c := range map[string]struct {
		hop       mail.Hop
		greetings []string // of one host after the other; "" lets mail in
		want      string   // the error's status; "": delivered
	}{
		"521, then one that takes it":    {mx, []string{never, ""}, ""},
		"554, then one that takes it":    {mx, []string{no, ""}, ""},
		"421, then one that takes it":    {mx, []string{busy, ""}, ""},
		"all 521":                        {mx, []string{never, never}, "5.3.2"},
		"521 and 554":                    {mx, []string{never, no}, "4.4.1"},
		"554 and 521":                    {mx, []string{no, never}, "4.4.1"},
		"521 and 421":                    {mx, []string{never, busy}, "4.4.1"},
		"521 and one that goes away":     {mx, []string{never, gone}, "4.4.2"},
		"all 554":                        {mx, []string{no, no}, "4.4.1"},
		"a smart host":                   {smart, []string{never, never}, "4.4.1"},
		"a store":                        {lmtp, []string{never, never}, "4.4.1"},
		"direct first, then smart host":  {direct, []string{never, never, ""}, ""},
		"direct first, all 521":          {direct, []string{never, never, never}, "4.4.1"},
		"of many, with an enhanced code": {mx, []string{"521-5.3.2 a\r\n521 5.3.2 b", never}, "5.3.2"},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := make([]*fake, len(c.greetings))
			server := func(n int, conn net.Conn) {
				hosts[n] = &fake{lmtp: c.hop.Kind == mail.HopLMTP, script: func(verb, _ string) string {
					if verb == "CONNECT" {
						return c.greetings[n]
					}
					return ""
				}}
				hosts[n].serve(n, conn)
			}
			feed := newFeed(t, many(1)...)
			err := serve(t, c.hop, feed, server, twoHosts)
			for n, h := range hosts {
				// RFC 5321 section 4.1.1.10: QUIT and nothing else, after a refusal too.
				if g := c.greetings[n]; g != "" && g != gone && g != busy && !slices.Equal(h.lines, []string{"QUIT"}) {
					t.Errorf("host %d heard %q", n, h.lines)
				}
			}
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0"})
				return
			}
			e := connectError(t, err)
			if got := e.Outcome.Status.String(); got != c.want || e.Temporary != (c.want[0] == '4') || len(feed.got) != 0 {
				t.Errorf("%s, temporary %v: %v; want %s", got, e.Temporary, e, c.want)
			}
		})
	}
}

// A server that finds fault with the handshake after it (TLS 1.3) is one whose
// handshake failed: in the clear where that will do, and nowhere else.
func TestTLSRefusedAfterTheHandshake(t *testing.T) {
	cert := certificate(t, "mx.far.example")
	for policy, delivered := range map[mail.TLSPolicy]bool{mail.TLSOpportunistic: true, mail.TLSRequired: false} {
		clear := &fake{}
		server := func(n int, c net.Conn) {
			if n > 0 {
				clear.serve(n, c)
				return
			}
			f := &tlsFake{conf: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert}}
			f.serve(n, c)
		}
		hop := mail.Hop{Kind: mail.HopSmartHost, Name: "far", Hosts: []string{"192.0.2.1"}, Options: mail.HopOptions{TLS: policy}}
		feed := newFeed(t, many(1)...)
		err := serveBy(t, &pipeDialer{server: server, tcp: true}, hop, feed)
		if (err == nil) != delivered || (len(clear.bodies) == 1) != delivered {
			t.Errorf("%v: %v, %d messages in the clear", policy, err, len(clear.bodies))
		}
	}
}

// A host that refuses STARTTLS, where TLS is welcome and not demanded, gets the mail on
// the same connection.
func TestSTARTTLSRefusedIsNotTheEnd(t *testing.T) {
	f := &tlsFake{fake: fake{script: refuseTLS}}
	hop := smartHost()
	hop.Options.TLS = mail.TLSOpportunistic
	feed := newFeed(t, many(1)...)
	d := &pipeDialer{server: f.serve}
	if err := serveBy(t, d, hop, feed); err != nil || d.dialed != 1 {
		t.Fatalf("%v, %d connections", err, d.dialed)
	}
	feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0"})
}

// A host that takes no more content, and one that is not there, are given up in the
// time of RFC 5321 section 4.5.3.2.5 and in that of a connection.
func TestDeafPeers(t *testing.T) {
	long := message(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 4000), "u@x.example")
	for name, c := range map[string]struct {
		ext    []string
		silent string // the verb after which nothing is read any more
	}{
		"within DATA": {[]string{"PIPELINING"}, "DATA"},
		"within BDAT": {[]string{"PIPELINING", "CHUNKING"}, "BDAT"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				server := func(_ int, conn net.Conn) {
					deaf := &deafConn{Conn: conn, verb: c.silent, released: released}
					(&fake{ext: c.ext}).serve(0, deaf)
				}
				feed := newFeed(t, long)
				start := time.Now()
				d := &pipeDialer{server: server}
				err := New(Options{Hostname: "me.example", Dialer: d}).Serve(t.Context(), smartHost(), feed)
				took := time.Since(start)
				close(released)
				d.wg.Wait()
				if e := connectError(t, err); !e.Temporary {
					t.Errorf("%v", e)
				}
				if took < 3*time.Minute || took > 4*time.Minute {
					t.Errorf("gave up after %v, want 3m", took)
				}
				feed.expect(map[string]string{"u@x.example": "deferred 4.4.2"})
			})
		})
	}
	t.Run("connecting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := New(Options{Hostname: "me.example", Dialer: nowhere{}}).Serve(t.Context(), smartHost(), newFeed(t, many(1)...))
			if e := connectError(t, err); !e.Temporary || e.Outcome.Status != mail.StatusNoAnswer || time.Since(start) != 30*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
}

// deafConn reads nothing more once the verb has come, but its own line.
type deafConn struct {
	net.Conn
	verb     string
	released chan struct{}
	deaf     bool
}

func (d *deafConn) Read(b []byte) (int, error) {
	if d.deaf {
		<-d.released
		return 0, io.EOF
	}
	// A line at a time, so that nothing of the content is taken.
	n := 0
	for n < len(b) && n < 200 {
		if _, err := d.Conn.Read(b[n : n+1]); err != nil {
			return n, err
		}
		n++
		if b[n-1] == '\n' {
			break
		}
	}
	d.deaf = strings.HasPrefix(string(b[:n]), d.verb)
	return n, nil
}

// nowhere is a network in which every packet is lost.
type nowhere struct{}

func (nowhere) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
