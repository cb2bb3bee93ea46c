package vserver

import (
	"bufio"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postroad/postroad/node/smtpd"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// greeting is the first line that a client gets.
func (s *site) greeting() string {
	s.t.Helper()
	c, err := net.Dial("tcp", s.set.Addresses()[0].Addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	l, _ := bufio.NewReader(c).ReadString('\n')
	return l
}

func TestConnectionControl(t *testing.T) {
	silent := loopback()
	silent.silent = true
	for name, c := range map[string]struct {
		settings string
		zone     *zone
		want     string
	}{
		"everybody":                        {"", loopback(), "220 "},
		"all except this network":          {"connectionControl: {networks: [127.0.0.0/8]}", loopback(), "554 5.7.1 "},
		"all except another":               {"connectionControl: {networks: [192.0.2.1]}", loopback(), "220 "},
		"all except this domain":           {"connectionControl: {domains: [partner.test]}", loopback(), "554 5.7.1 "},
		"a suffix is no domain":            {"connectionControl: {domains: [artner.test]}", loopback(), "220 "},
		"all except a name it only claims": {"connectionControl: {domains: [liar.test]}", loopback(), "220 "},
		"all except, DNS is silent":        {"connectionControl: {domains: [partner.test]}", silent, "220 "},
		"only this address":                {"connectionControl: {only: true, networks: [127.0.0.1]}", loopback(), "220 "},
		"only another":                     {"connectionControl: {only: true, networks: [192.0.2.1]}", loopback(), "554 5.7.1 "},
		"only this domain":                 {"connectionControl: {only: true, domains: [mx.partner.test]}", loopback(), "220 "},
		"only a name it claims":            {"connectionControl: {only: true, domains: [liar.test]}", loopback(), "554 5.7.1 "},
		"only a domain, DNS is silent":     {"connectionControl: {only: true, domains: [partner.test]}", silent, "421 4.4.3 "},
		"preset relay, listed":             {"preset: relay, relay: {networks: [127.0.0.1]}", loopback(), "220 "},
		"preset relay, listed by name":     {"preset: relay, relay: {domains: [partner.test]}", loopback(), "220 "},
		"preset relay, not listed":         {"preset: relay, relay: {networks: [192.0.2.1]}", loopback(), "554 5.7.1 "},
		"preset relay, DNS is silent":      {"preset: relay, relay: {domains: [partner.test]}", silent, "421 4.4.3 "},
		"preset relay, excluded":           {"preset: relay, relay: {networks: [127.0.0.1]}, connectionControl: {networks: [127.0.0.1]}", loopback(), "554 5.7.1 "},
		"paused":                           {"state: paused", loopback(), "421 4.3.2 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newSite(t, ", "+c.settings, "", with(c.zone)).greeting(); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func (p *typist) begin() {
	p.t.Helper()
	p.say("EHLO c.example", "250")
}

// send sends a message and returns the reply to its content.
func (p *typist) send(from, to, text string) string {
	p.t.Helper()
	p.say("MAIL FROM:<"+from+">", "250")
	p.say("RCPT TO:<"+to+">", "250")
	p.say("DATA", "354")
	return p.say(text+"\r\n.", "")
}

func TestRelayByDomain(t *testing.T) {
	z := loopback()
	p := newSite(t, ", relay: {domains: [partner.test]}", "", with(z)).connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<x@outside.test>", "250")
	z.set(true)
	q := newSite(t, ", relay: {domains: [partner.test]}", "", with(z)).connect()
	q.begin()
	q.say("MAIL FROM:<a@outside.test>", "250")
	q.say("RCPT TO:<x@outside.test>", "451 4.4.3") // perhaps it may
	q.say("RCPT TO:<bob@example.test>", "250")     // whatever its name is
}

// The tricks by which relays were once made to relay, each treated as what it is.
func TestOpenRelayTricks(t *testing.T) {
	p := newSite(t, ", fqdn: mail.example.test", "").connect()
	p.begin()
	const denied, unknown = "550 5.7.1 ", "550 5.1.1 "
	for _, c := range []struct{ trick, from, to, want string }{
		{"plain", "a@outside.test", "x@other.test", denied},
		{"null sender", "", "x@other.test", denied},
		{"spoofed own sender", "bob@example.test", "x@other.test", denied},
		{"sender at the server", "a@mail.example.test", "x@other.test", denied},
		{"sender at a literal", "a@[127.0.0.1]", "x@other.test", denied},
		{"percent, ours", "a@outside.test", "x%other.test@example.test", unknown},
		{"percent, the server", "a@outside.test", "x%other.test@mail.example.test", denied},
		{"percent, literal", "a@outside.test", "x%other.test@[127.0.0.1]", unknown},
		{"quoted percent", "a@outside.test", `"x%other.test"@example.test`, unknown},
		{"quoted address", "a@outside.test", `"x@other.test"@example.test`, unknown},
		{"quoted address, literal", "a@outside.test", `"x@other.test"@[127.0.0.1]`, unknown},
		{"two at signs", "a@outside.test", "x@other.test@example.test", "501 5.1.3"},
		{"quoted, no domain", "a@outside.test", `"x@other.test"`, "501 5.1.3"},
		// RFC 5321 section 4.1.1.3 lets the route be dropped: what is left is the recipient.
		{"source route over us", "a@outside.test", "@example.test:x@other.test", denied},
		{"source route to us", "a@outside.test", "@other.test:bob@example.test", "250 2.1.5"},
		{"long source route", "a@outside.test", "@example.test,@mail.example.test:x@other.test", denied},
		{"bang", "a@outside.test", "other.test!x", "501 5.1.3"},
		{"bang, ours", "a@outside.test", "other.test!x@example.test", unknown},
		{"bang, twice", "a@outside.test", "example.test!other.test!x@example.test", unknown},
		{"domain literal", "a@outside.test", "x@[192.0.2.1]", denied},
		{"own literal", "a@outside.test", "x@[127.0.0.1]", unknown}, // see TestOwnLiteral
		{"another address of this host", "a@outside.test", "x@[127.0.0.2]", denied},
		{"IPv6 literal", "a@outside.test", "x@[IPv6:2001:db8::1]", denied},
		{"bare address", "a@outside.test", "x@192.0.2.1", denied},
		{"trailing dot", "a@outside.test", "x@other.test.", "501 5.1.3"},
		{"subdomain of ours", "a@outside.test", "x@sub.example.test", denied},
		{"suffix of ours", "a@outside.test", "x@notexample.test", denied},
		{"upper case", "a@outside.test", "x@OTHER.TEST", denied},
		{"no domain", "a@outside.test", "x", "501 5.1.3"},
		{"contact that leads outside", "a@outside.test", "joe@outside.test", denied},
	} {
		t.Run(c.trick, func(t *testing.T) {
			p.say("RSET", "250")
			p.say("MAIL FROM:<"+c.from+">", "250")
			p.say("RCPT TO:<"+c.to+">", c.want)
		})
	}
}

const filterVirtualServers = `
---
kind: MessageFilter
name: hangs
spec: {senders: ["@rude.test"], action: disconnect}
---
kind: MessageFilter
name: kept
spec: {senders: ["@kept.test"], archive: true}
---
kind: MessageFilter
name: quiet
spec: {senders: ["@quiet.test"], action: silent, archive: true}
---
kind: MessageFilter
name: dropped
spec: {senders: ["@dropped.test"], action: silent}
`

func TestReverseLookup(t *testing.T) {
	for settings, want := range map[string]string{"": "", ", reverseLookup: true": "mx.partner.test"} {
		s := newSite(t, settings, "", with(loopback()))
		p := s.connect()
		p.begin()
		p.send("a@outside.test", "bob@example.test", "x")
		if got := s.tray.got[0].HostName; got != want {
			t.Errorf("%q: %q", settings, got)
		}
	}
}

func TestNodesAreStrangersWhereTheyShallBe(t *testing.T) {
	for settings, want := range map[string]bool{"": true, ", authentication: {noIntegrated: true}": false} {
		p := newSite(t, settings, "").connect()
		p.startTLS(serial(t, nodeSerial))
		if r := p.say("EHLO paris-2", "250"); strings.Contains(r, "EXTERNAL") != want {
			t.Errorf("%q: %s", settings, r)
		}
	}
}

func TestBasicInClear(t *testing.T) {
	for settings, want := range map[string]string{"": "538 5.7.11", ", authentication: {basicInClear: true}": "235"} {
		p := newSite(t, settings, accounts).connect()
		p.begin()
		p.say("AUTH PLAIN "+plain("alice", "s3cret"), want)
	}
}

// What the engine keeps itself arrives there.
func TestEngineSettings(t *testing.T) {
	objs, err := directory.DecodeYAML(strings.NewReader(`
kind: VirtualServer
name: x
spec:
  server: s
  fqdn: mail.test
  greeting: hello
  tls: {implicit: true, required: true}
  authentication: {basicInClear: true, required: true}
  protocol: {strictPaths: true, without: [chunking, dsn], lineEnds: repair, nuls: repair, lmtp: true, proxyNetworks: [192.0.2.0/24], xclientNetworks: [192.0.2.1], maxHold: 1h, holdForAnyone: true, minDeliverBy: 2m}
  limits: {maxMessageSize: 100, timeout: 7m, maxErrors: 3, maxRecipients: 200, maxMessagesPerConnection: 4, maxConnections: 5, maxConnectionsPerAddress: 6, maxHeaderSize: 1KiB, maxHeaderLines: 8, maxRecipientDomains: 9, maxHandshakes: 10, maxIdleCommands: 11, maxAuthFailures: 12, maxAuthFailuresPerAddress: 13, authFailureWindow: 14s, authFailureDelay: 15s, messageTimeout: 16s, handshakeTimeout: 17s, maxRefusedRecipients: 18}
`), "x")
	if err != nil {
		t.Fatal(err)
	}
	spec := objs[0].GetVirtualServer()
	e := directory.VirtualServer{Name: "x", Spec: spec}
	got := fmt.Sprintf("%+v", newRules(e, &directory.Configuration{}).engine(spec))
	want := fmt.Sprintf("%+v", smtpd.Config{
		Hostname: "mail.test", Banner: "hello", LMTP: true, ImplicitTLS: true, TLSRequired: true, AuthRequired: true, AllowInsecureAuth: true,
		Proxies: parseNetworks([]string{"192.0.2.0/24"}), XClients: parseNetworks([]string{"192.0.2.1"}),
		Without: smtpd.ExtChunking | smtpd.ExtDSN, StrictPaths: true, LineEnds: smtpd.LineEndsRepair, NULs: smtpd.NULsDrop,
		MaxMessageSize: 100, MaxHeaderSize: 1024, MaxHeaderLines: 8, MaxRecipients: 200, MaxRecipientDomains: 9, MaxMessages: 4,
		MaxHold: time.Hour, HoldForAnyone: true, MinDeliverBy: 2 * time.Minute,
		MaxConnections: 5, MaxConnectionsPerClient: 6, MaxHandshakes: 10, MaxErrors: 3, MaxIdleCommands: 11, MaxRefusedRecipients: 18,
		MaxAuthFailures: 12, MaxAuthFailuresPerClient: 13, AuthFailureWindow: 14 * time.Second, AuthFailureDelay: 15 * time.Second,
		Timeouts: smtpd.Timeouts{Command: 7 * time.Minute, Data: 7 * time.Minute, Message: 16 * time.Second, Handshake: 17 * time.Second},
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A setting that the engine gets anew must have a field, or a reason to have none.
	config := reflect.ValueOf(newRules(e, &directory.Configuration{}).engine(spec))
	for i := range config.NumField() {
		if f := config.Type().Field(i); f.IsExported() && config.Field(i).IsZero() && f.Name != "TLS" {
			t.Errorf("smtpd.Config.%s follows no field of the directory", f.Name)
		}
	}
	// Every keyword that may be left out is understood.
	for _, k := range directory.Keywords() {
		if without([]string{strings.ToLower(k)}) == without(nil) {
			t.Errorf("%s is not left out", k)
		}
	}
	defaults := newRules(directory.VirtualServer{Spec: &directoryv1.VirtualServer{}}, &directory.Configuration{}).engine(&directoryv1.VirtualServer{})
	if defaults.MaxRecipients != 64000 || defaults.MaxErrors != 20 || defaults.Timeouts.Command != 10*time.Minute || defaults.Banner != "Postroad ESMTP" {
		t.Errorf("defaults %+v", defaults)
	}
	lmtp := &directoryv1.VirtualServer{Protocol: &directoryv1.ProtocolPolicy{Lmtp: true}}
	if got := newRules(directory.VirtualServer{Spec: lmtp}, &directory.Configuration{}).engine(lmtp).Banner; got != "Postroad LMTP" {
		t.Errorf("an LMTP server greets as %s", got)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newSite(t, "", "", func(d *Deps) { d.Metrics = reg })
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<spam@bad.test>", "554")
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<nobody@example.test>", "550")
	p.say("RCPT TO:<x@outside.test>", "550")
	p.say("RCPT TO:<y@outside.test>", "550")
	p.say("MAIL FROM:<a@outside.test>", "503") // the engine's own
	for metric, want := range map[string]float64{
		"postroad_smtp_refused_total{default,message_filter}":    1,
		"postroad_smtp_refused_total{default,relay}":             2,
		"postroad_smtp_refused_total{default,unknown_recipient}": 1,
		"postroad_smtp_error_replies_total{550,default}":         3,
		"postroad_smtp_error_replies_total{554,default}":         1,
		"postroad_smtp_error_replies_total{503,default}":         1,
		"postroad_smtp_connections{default}":                     1,
		"postroad_virtual_server_state{default,running}":         1,
	} {
		if got := gathered(t, reg)[metric]; got != want {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
}

// gathered are all counters and gauges, with the values of their labels.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			slices.Sort(labels)
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
