package directory

import (
	"fmt"
	"strings"
	"testing"
)

// Defaults of dequeue: whom it asks, as whom, and when.
func TestDequeuing(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"no": {"smartHosts: [mx.example.net]", "none"},
		"ETRN, on demand only": {"smartHosts: ['mx.example.net:2525'], credentials: {user: u, passwordFile: /p}, dequeue: {method: ETRN, domains: [a.example]}",
			"mx.example.net:2525 as u, [a.example], week never, every 0s"},
		"ATRN has a port of its own": {"smartHosts: ['mx.example.net:2525'], credentials: {user: u, passwordFile: /p}, dequeue: {method: ATRN, interval: 1h}",
			"mx.example.net:366 as u, [], week always, every 1h0m0s"},
		"address": {"dequeue: {method: ATRN, host: '[IPv6:2001:db8::1]', schedule: always, credentials: {user: v, passwordFile: /p}}",
			"[2001:db8::1]:366 as v, [], week always, every 15m0s"},
		"address with port": {"dequeue: {method: TURN, host: '[192.0.2.1]:26', schedule: never}", "[192.0.2.1]:26 as , [], week never, every 15m0s"},
		"password of the smart host": {"smartHosts: [out.example.net, mx.example.net], credentials: {user: u, passwordFile: /p}, dequeue: {method: ATRN, host: 'MX.example.net:367'}",
			"MX.example.net:367 as u, [], week never, every 0s"},
		"password not for others": {"smartHosts: [out.example.net], credentials: {user: u, passwordFile: /p}, dequeue: {method: ETRN, host: mx.example.net}",
			"mx.example.net:25 as , [], week never, every 0s"},
	} {
		objs, err := DecodeYAML(strings.NewReader("{kind: SMTPConnector, name: a, guid: 00000000-0000-4000-8000-00000000000a, spec: {"+c.spec+"}}"), "t")
		if err != nil {
			t.Fatal(err)
		}
		conf, err := NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		got := "none"
		if d, ok := conf.Dequeuing(objs[0].GetSmtpConnector()); ok {
			week := "always"
			if d.Week != nil {
				week = d.Week.Name
			}
			got = fmt.Sprintf("%s as %s, %v, week %s, every %v", d.Host, d.Credentials.GetUser(), d.What, week, d.Interval)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
