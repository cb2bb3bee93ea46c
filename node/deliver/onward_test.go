package deliver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

var update = flag.Bool("update", false, "write the golden files")

// What a sender asked for, at a next hop that has it and at one that lacks it:
// each file in testdata/onward is the dialog, the content that arrived and the
// outcome.
func TestOnward(t *testing.T) {
	now := time.Date(2001, 5, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	const (
		ascii        = "Subject: x\r\n\r\nplain\r\n"
		latin        = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nOne \xe9 among many letters\r\n"
		binary       = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\n\xff"
		mixed        = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nOne \xe9 among many letters\r\n--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\n\xff\r\n--b--\r\n"
		globalReport = "Subject: Undeliverable mail\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=global-delivery-status; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
			"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nJürgen was not found\r\n" +
			"--b\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nReporting-MTA: dns; a.example\r\n\r\nFinal-Recipient: utf-8; jürgen@x\r\nAction: failed\r\nStatus: 5.1.1\r\n" +
			"--b\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Grüße\r\n\r\nÄpfel\r\n--b--\r\n"
		signed = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe9\r\n--b\r\n\r\nsignature\r\n--b--\r\n"
	)
	wide := "Subject: x\r\n\r\nshort\r\n" + strings.Repeat("x", 999) + "\r\n"
	full := []string{"PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME", "SIZE", "DSN", "DELIVERBY", "MT-PRIORITY", "SMTPUTF8"}
	without := func(names ...string) []string {
		var list []string
		for _, e := range full {
			if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+e+" ") {
				list = append(list, e)
			}
		}
		return list
	}
	reports := func(e *mail.Envelope) {
		e.From, e.System, e.UTF8, e.Body = mail.Address{}, true, true, mail.Body8BitMIME
	}
	success := func(m *mail.Transaction) { m.Targets[0].Notify = mail.NotifySuccess }
	cases := map[string]struct {
		ext     []string
		content string
		set     func(*mail.Envelope)
		change  func(*mail.Transaction)
	}{
		"8bit":                    {full, latin, func(e *mail.Envelope) { e.Body = mail.Body8BitMIME }, nil},
		"8bit-to-7bit":            {without("8BITMIME"), latin, func(e *mail.Envelope) { e.Body = mail.Body8BitMIME }, nil},
		"8bit-to-7bit-data":       {[]string{"PIPELINING", "SIZE"}, latin, func(e *mail.Envelope) { e.Body = mail.Body8BitMIME }, nil},
		"8bit-signed":             {without("8BITMIME"), signed, func(e *mail.Envelope) { e.Body = mail.Body8BitMIME }, nil},
		"binary":                  {full, binary, func(e *mail.Envelope) { e.Body = mail.BodyBinaryMIME }, nil},
		"binary-without-chunking": {without("CHUNKING"), binary, func(e *mail.Envelope) { e.Body = mail.BodyBinaryMIME }, nil},
		"binary-to-8bit":          {without("BINARYMIME"), mixed, func(e *mail.Envelope) { e.Body = mail.BodyBinaryMIME }, nil},
		"binary-to-7bit":          {without("BINARYMIME", "8BITMIME"), mixed, func(e *mail.Envelope) { e.Body = mail.BodyBinaryMIME }, nil},
		"too-large-when-recoded":  {append(without("BINARYMIME", "SIZE"), "SIZE 102"), binary, func(e *mail.Envelope) { e.Body = mail.BodyBinaryMIME }, nil},

		"long-lines":              {[]string{"PIPELINING", "8BITMIME"}, wide, func(e *mail.Envelope) { e.LongLines = true }, nil},
		"long-lines-7bit":         {[]string{"PIPELINING"}, wide, func(e *mail.Envelope) { e.LongLines = true }, nil},
		"long-lines-binarymime":   {full, wide, func(e *mail.Envelope) { e.LongLines = true }, nil},
		"long-lines-8bit-to-7bit": {[]string{"PIPELINING"}, strings.Replace(wide, "xxxx", "xx\xe9x", 1), func(e *mail.Envelope) { e.LongLines, e.Body = true, mail.Body8BitMIME }, nil},
		"long-lines-signed":       {[]string{"PIPELINING", "8BITMIME"}, strings.Replace(signed, "\xe9", strings.Repeat("x", 999), 1), func(e *mail.Envelope) { e.LongLines = true }, nil},
		"long-lines-dkim":         {[]string{"PIPELINING", "8BITMIME"}, "DKIM-Signature: v=1\r\n" + wide, func(e *mail.Envelope) { e.LongLines = true }, nil},
		"long-lines-header":       {[]string{"PIPELINING", "8BITMIME"}, "Subject: " + strings.Repeat("x", 999) + "\r\n\r\nx\r\n", func(e *mail.Envelope) { e.LongLines = true }, nil},

		// RFC 6533 section 4.5.
		"utf8-report":         {full, globalReport, reports, nil},
		"utf8-report-to-8bit": {without("SMTPUTF8"), globalReport, reports, nil},

		"by-return": {full, ascii, func(e *mail.Envelope) {
			e.DeliverBy = mail.DeliverBy{Deadline: in(119500 * time.Millisecond), Return: true}
		}, nil},
		"by-return-late":    {full, ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(-time.Second), Return: true} }, nil},
		"by-return-lacking": {without("DELIVERBY"), ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(time.Minute), Return: true} }, nil},
		"by-return-minimum": {append(without("DELIVERBY"), "DELIVERBY 240"), ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(time.Minute), Return: true} }, nil},
		"by-notify-late":    {full, ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(-90 * time.Second)} }, nil},
		"by-notify-lacking": {without("DELIVERBY"), ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(time.Minute)} }, nil},
		"by-trace":          {full, ascii, func(e *mail.Envelope) { e.DeliverBy = mail.DeliverBy{Deadline: in(time.Minute), Trace: true} }, nil},

		"priority":         {full, ascii, func(e *mail.Envelope) { e.MTPriority = -4 }, nil},
		"priority-lacking": {without("MT-PRIORITY"), ascii, func(e *mail.Envelope) { e.MTPriority = 9 }, nil},
		"dsn":              {full, ascii, func(e *mail.Envelope) { e.Return, e.EnvelopeID = "HDRS", "a+b" }, success},
		"dsn-lacking":      {without("DSN"), ascii, func(e *mail.Envelope) { e.Return, e.EnvelopeID = "HDRS", "a+b" }, success},
		"requiretls":       {append(full, "REQUIRETLS"), ascii, func(e *mail.Envelope) { e.RequireTLS = true }, nil}, // in the clear
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := message(c.content, "u@x.example")
			c.set(m.Envelope)
			if c.change != nil {
				c.change(m)
			}
			f := &fake{ext: c.ext}
			feed := newFeed(t, m)
			if err := serve(t, smartHost(), feed, f.serve, func(o *Options) { o.Clock = func() time.Time { return now } }); err != nil {
				t.Fatal(err)
			}
			golden(t, "onward/"+name, transcript(f, feed))
		})
	}
}

func transcript(f *fake, feed *listFeed) string {
	var b strings.Builder
	for _, l := range f.lines {
		fmt.Fprintf(&b, "C: %s\n", l)
	}
	for _, text := range f.bodies {
		b.WriteString("content:\n")
		for l := range strings.SplitAfterSeq(text, "\r\n") {
			fmt.Fprintf(&b, "   %q\n", l)
		}
	}
	o := feed.got["u@x.example"]
	fmt.Fprintf(&b, "outcome: %s %s, relayed %v, traced %v\n", o.Result, o.Status, o.Relayed, o.Traced)
	if o.Result != mail.Delivered {
		fmt.Fprintf(&b, "   %s\n", o.Text)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", file, got, want)
	}
}

// RFC 8689 section 4.2.1: verified TLS and REQUIRETLS, or not at all.
func TestRequireTLS(t *testing.T) {
	cert, stranger := certificate(t, "relay.example"), certificate(t, "stranger")
	all := []string{"PIPELINING", "CHUNKING", "REQUIRETLS"}
	for name, c := range map[string]struct {
		f    *tlsFake
		kind mail.HopKind
		want string // words of the error; empty: delivered
	}{
		"delivers":               {&tlsFake{fake: fake{ext: all}, conf: serverTLS(cert)}, mail.HopSmartHost, ""},
		"not offered":            {&tlsFake{fake: fake{ext: all[:2]}, conf: serverTLS(cert)}, mail.HopSmartHost, "does not offer REQUIRETLS"},
		"another certificate":    {&tlsFake{fake: fake{ext: all}, conf: serverTLS(stranger)}, mail.HopSmartHost, "asked for REQUIRETLS, and the TLS handshake failed"},
		"DNS is not believed":    {&tlsFake{fake: fake{ext: all}, conf: serverTLS(cert)}, mail.HopMX, "asked for REQUIRETLS, and the TLS handshake failed"},
		"STARTTLS is refused":    {&tlsFake{fake: fake{ext: all, script: refuseTLS}, conf: serverTLS(cert)}, mail.HopSmartHost, "refuses STARTTLS"},
		"the domain's own proof": {&tlsFake{fake: fake{ext: all}, conf: serverTLS(certificate(t, "x.example"))}, mail.HopMX, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := message(body, "u@x.example")
			m.Envelope.RequireTLS = true
			hop := mail.Hop{Kind: c.kind, Name: "relay", Domain: "x.example", Hosts: []string{"relay.example:25"}, Options: mail.HopOptions{RequireTLS: true, TLS: mail.TLSNone}}
			feed := newFeed(t, m)
			err := serveBy(t, &pipeDialer{server: c.f.serve, tcp: true}, hop, feed, func(o *Options) {
				roots := x509.NewCertPool()
				for _, k := range []tls.Certificate{cert, c.f.conf.Certificates[0]} {
					if k.Leaf.Subject.CommonName != "stranger" {
						roots.AddCert(k.Leaf)
					}
				}
				o.TLS = &tls.Config{RootCAs: roots}
				o.Resolver = fixedHosts{"x.example": "192.0.2.1", "relay.example": "192.0.2.1"}
			})
			if c.want != "" {
				e := connectError(t, err)
				refused := e.Outcome.Status == statusRequireTLS && !e.Temporary || c.want == "refuses STARTTLS" && e.Temporary
				if !strings.Contains(e.Error(), c.want) || !refused || len(feed.got) != 0 {
					t.Errorf("%v (%s, temporary %v), want %q", e, e.Outcome.Status, e.Temporary, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			feed.expect(map[string]string{"u@x.example": "delivered 2.0.0"})
			if !strings.Contains(strings.Join(c.f.lines, "\n"), "MAIL FROM:<a@a.example> REQUIRETLS") {
				t.Errorf("%q", c.f.lines)
			}
		})
	}
}

func serverTLS(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }

// fixedHosts is a DNS in which each name has one address, and is its own mail host.
type fixedHosts map[string]string

func (h fixedHosts) MX(ctx context.Context, domain string) ([]mail.Host, error) {
	addrs, err := h.Addrs(ctx, domain)
	return []mail.Host{{Name: "mx." + domain, Addrs: addrs}}, err
}

func (h fixedHosts) Addrs(_ context.Context, name string) ([]netip.Addr, error) {
	a, ok := h[name]
	if !ok {
		return nil, errors.New(name + " does not exist")
	}
	return []netip.Addr{netip.MustParseAddr(a)}, nil
}

// Settings hold for the next connection.
func TestSettings(t *testing.T) {
	set := Settings{Hostname: "out.example", Masquerade: Masquerade{Domain: "example.org", Ours: func(d string) bool { return strings.EqualFold(d, "a.example") }}}
	text := "Received: from a@a.example\r\nFROM: \"a@a.example\" <a@A.example>,\r\n b@a.example (c@a.example), d@b.example\r\nTo: a@a.example\r\n\r\nFrom: a@a.example\r\n"
	for _, c := range []struct {
		kind                mail.HopKind
		hello, from, header string
	}{
		{mail.HopSmartHost, "EHLO out.example", "MAIL FROM:<a@example.org>", "FROM: \"a@a.example\" <a@example.org>,\r\n b@example.org (c@a.example), d@b.example\r\n"},
		{mail.HopLMTP, "LHLO me.example", "MAIL FROM:<a@a.example>", "FROM: \"a@a.example\" <a@A.example>,\r\n b@a.example (c@a.example), d@b.example\r\n"},
	} {
		f := &fake{lmtp: c.kind == mail.HopLMTP, ext: []string{"PIPELINING", "CHUNKING"}}
		hop := smartHost()
		hop.Kind = c.kind
		feed := newFeed(t, message(text, "u@x.example"))
		if err := serve(t, hop, feed, f.serve, func(o *Options) { o.Settings = func(mail.Hop) Settings { return set } }); err != nil {
			t.Fatal(err)
		}
		want := "Received: from a@a.example\r\n" + c.header + "To: a@a.example\r\n\r\nFrom: a@a.example\r\n"
		if f.lines[0] != c.hello || f.lines[1] != c.from || f.bodies[0] != want {
			t.Errorf("%q\n%q, want %q", f.lines, f.bodies, want)
		}
	}
}

// A report has no sender to hide, and who is none of ours keeps the name.
func TestMasqueradeIsForOurOwn(t *testing.T) {
	m := Masquerade{Domain: "example.org", Ours: func(d string) bool { return d == "a.example" }}
	for from, want := range map[mail.Address]bool{
		{}: false, {Local: "a", Domain: "a.example"}: true, {Local: "a", Domain: "b.example"}: false,
	} {
		if m.hides(from) != want {
			t.Errorf("%s: %v", from, !want)
		}
	}
	if (Masquerade{}).hides(mail.Address{Local: "a", Domain: "a.example"}) {
		t.Error("no masquerade hides somebody")
	}
}

// A source address is used for its own family, and the other family not at all.
func TestSourceAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := make(chan string, 1)
	done := make(chan struct{})
	f := &fake{}
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		f.serve(0, c)
	}()
	hop := smartHost()
	hop.Hosts = []string{"[::1]:1", l.Addr().String()}
	a := New(Options{Hostname: "me.example", Settings: func(mail.Hop) Settings { return Settings{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.7")}} }})
	feed := newFeed(t, message(body, "u@x.example"))
	if err := a.Serve(t.Context(), hop, feed); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	<-done
	if got := <-from; got != "127.0.0.7" {
		t.Errorf("came from %s", got)
	}
	feed.expect(map[string]string{"u@x.example": "delivered 2.0.0"})
}

// The hosts of the domain first, then the smart host, whose account is shown to
// nobody else.
func TestDirectFirst(t *testing.T) {
	direct := &fake{ext: []string{"AUTH PLAIN"}}
	smart := &fake{}
	server := func(n int, c net.Conn) {
		if n == 0 {
			return // closes at once
		}
		smart.serve(n, c)
	}
	hop := mail.Hop{Kind: mail.HopMX, Name: "x.example (MX)", Domain: "x.example", Options: mail.HopOptions{Smart: []string{"[192.0.2.9]"}}}
	known := func(o *Options) { o.Resolver = fixedHosts{"x.example": "192.0.2.1"} }
	feed := newFeed(t, message(body, "u@x.example"))
	if err := serve(t, hop, feed, server, known); err != nil {
		t.Fatal(err)
	}
	feed.expect(map[string]string{"u@x.example": "delivered 2.0.0"})
	if len(smart.bodies) != 1 {
		t.Errorf("the smart host got %d messages", len(smart.bodies))
	}
	hop.Options.Account, hop.Options.PasswordFile = "user", "/nowhere"
	feed = newFeed(t, message(body, "u@x.example"))
	if err := serve(t, hop, feed, direct.serve, known); err != nil || len(direct.bodies) != 1 {
		t.Errorf("%v: direct delivery wants the smart host's account", err)
	}
	// A domain that is unknown here goes to the smart host.
	hop.Domain, hop.Options.Account = "elsewhere.example", ""
	feed = newFeed(t, message(body, "u@elsewhere.example"))
	if err := serve(t, hop, feed, smart.serve, known); err != nil || len(smart.bodies) != 2 {
		t.Errorf("%v, %d messages", err, len(smart.bodies))
	}
}

type lookupError struct {
	status    mail.Status
	temporary bool
}

func (lookupError) Error() string         { return "relay.example: the name does not exist" }
func (e lookupError) Status() mail.Status { return e.status }
func (e lookupError) Temporary() bool     { return e.temporary }

type noHosts struct{ err error }

func (n noHosts) MX(context.Context, string) ([]mail.Host, error)     { return nil, n.err }
func (n noHosts) Addrs(context.Context, string) ([]netip.Addr, error) { return nil, n.err }

// A smart host that does not exist is not the fault of the recipient's address.
func TestUnknownSmartHost(t *testing.T) {
	gone, silent := lookupError{status: mail.StatusBadDomain}, lookupError{mail.StatusDirectory, true}
	for _, c := range []struct {
		kind mail.HopKind
		err  error
		want string
	}{{mail.HopSmartHost, gone, "5.4.0"}, {mail.HopSmartHost, silent, "4.4.3"}, {mail.HopMX, gone, "5.1.2"}} {
		hop := smartHost()
		hop.Kind, hop.Hosts, hop.Domain = c.kind, []string{"relay.example"}, "relay.example"
		err := New(Options{Hostname: "me.example", Resolver: noHosts{c.err}}).Serve(t.Context(), hop, newFeed(t, many(1)...))
		if e := connectError(t, err); e.Outcome.Status.String() != c.want || e.Temporary != (c.want[0] == '4') {
			t.Errorf("%v: %+v, want %s", c.err, e.Outcome, c.want)
		}
	}
}

// RFC 2852 section 6: who wants his mail back in time is not served by a search for a
// host that has DELIVERBY; what a domain's best host lacks the domain lacks.
func TestNoSearchForDeliverBy(t *testing.T) {
	hosts := []*fake{{ext: []string{"PIPELINING"}}, {ext: []string{"DELIVERBY"}}}
	d := &pipeDialer{server: func(n int, c net.Conn) { hosts[n].serve(n, c) }}
	book := &phoneBook{mx: map[string][]mail.Host{"x.example": {{Name: "mx1.x.example", Addrs: ips("192.0.2.1")}, {Name: "mx2.x.example", Addrs: ips("192.0.2.2")}}}}
	m := message(body, "u0@x.example")
	m.Envelope.DeliverBy = mail.DeliverBy{Deadline: time.Now().Add(time.Hour), Return: true}
	feed := newFeed(t, m)
	if err := serveBy(t, d, mail.Hop{Kind: mail.HopMX, Name: "x.example", Domain: "x.example"}, feed, func(o *Options) { o.Resolver = book }); err != nil {
		t.Error(err)
	}
	feed.expect(map[string]string{"u0@x.example": "failed 5.3.3"})
	if d.dialed != 1 {
		t.Errorf("%d hosts were asked", d.dialed)
	}
}
