package vserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// real listens where it is told to, so that bindings exclude each other as they
// do in earnest.
func newRealSet(t *testing.T, specs ...string) (*Set, *book) {
	t.Helper()
	b := &book{}
	b.set(t, virtualServers(specs...))
	s := NewSet(Deps{Self: guid(2), Directory: b, Submitter: &tray{}})
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s, b
}

// freePorts are ports that nobody listens on.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		all = append(all, port)
	}
	return all
}

func states(s *Set) string {
	var out []string
	for _, st := range s.Status() {
		out = append(out, st.Name+" "+st.State)
	}
	return strings.Join(out, ", ")
}

func TestStartPauseStop(t *testing.T) {
	p := newPorts()
	s, b := newTestSet(t, p, `bindings: [":25"]`, `bindings: [":26"]`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	first, second := dial(t, p.at(":25")), dial(t, p.at(":26"))
	first.begin()
	second.begin()

	b.set(t, virtualServers(`bindings: [":25"], state: paused`, `bindings: [":26"]`))
	s.Update()
	if got := states(s); got != "vs0 paused, vs1 running" {
		t.Error(got)
	}
	first.say("MAIL FROM:<a@outside.test>", "250") // goes on
	c, err := net.Dial("tcp", p.at(":25"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, _ := newReader(c).ReadString('\n'); !strings.HasPrefix(l, "421 4.3.2 Service paused") {
		t.Error(l)
	}

	first.say("RCPT TO:<bob@example.test>", "250")
	first.say("DATA", "354")
	b.set(t, virtualServers(`bindings: [":25"], state: stopped`, `bindings: [":26"]`))
	s.Update()
	if got := states(s); got != "vs0 stopped, vs1 running" {
		t.Error(got)
	}
	if got := bindings(s); got != "vs1 :26" {
		t.Error(got)
	}
	first.say("x\r\n.", "250 2.6.0") // to the end of its message
	first.expect("421 4.3.2")
	second.say("NOOP", "250")

	b.set(t, virtualServers(`bindings: [":25"], state: started`, `bindings: [":26"]`))
	s.Update()
	if got := states(s); got != "vs0 running, vs1 running" {
		t.Error(got)
	}
	dial(t, p.at(":25")).begin()
	second.say("NOOP", "250")
}

// A move to a port that is taken leaves the virtual server where it was.
func TestFailedMoveKeepsTheOldBinding(t *testing.T) {
	p := newPorts()
	s, b := newTestSet(t, p, `bindings: [":25"]`)
	cert, key := writePair(t, t.TempDir(), "new", 7, false, "new.test")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	p.set(":26", true)
	b.set(t, virtualServers(`bindings: [":26"], tls: {implicit: true, certificateFile: `+cert+`, keyFile: `+key+`}`))
	s.Update()
	if got := bindings(s); got != "vs0 :25" {
		t.Error(got)
	}
	if st := s.Status()[0]; st.State != StateDegraded || st.Reason != "cannot listen on :26: address already in use; free the port or change bindings" {
		t.Errorf("%+v", st)
	}
	dial(t, p.at(":25")).begin() // still in clear: what is meant for the new port waits with it
	p.set(":26", false)
	s.Update() // as Run does after a while
	if got := bindings(s) + "; " + states(s); got != "vs0 :26; vs0 running" {
		t.Error(got)
	}
	c, err := tls.Dial("tcp", p.at(":26"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, _ := newReader(c).ReadString('\n'); !strings.HasPrefix(l, "220 ") {
		t.Error(l)
	}
}

// Of several new bindings either all come, or none, and the rules with them.
func TestHalfAMoveIsNone(t *testing.T) {
	p := newPorts()
	s, b := newTestSet(t, p, `bindings: [":25"]`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	p.set(":27", true)
	for _, after := range []string{`[":26", ":27"]`, `[":25", ":26", ":27"]`} {
		b.set(t, virtualServers(`bindings: `+after+`, authentication: {required: true}`))
		s.Update()
		if got := bindings(s) + "; " + states(s); got != "vs0 :25; vs0 degraded" {
			t.Errorf("%s: %s", after, got)
		}
		c := dial(t, p.at(":25"))
		c.begin()
		c.say("MAIL FROM:<a@outside.test>", "250")
	}
	p.set(":27", false)
	s.Update()
	if got := bindings(s) + "; " + states(s); got != "vs0 :25, vs0 :26, vs0 :27; vs0 running" {
		t.Error(got)
	}
	c := dial(t, p.at(":25"))
	c.begin()
	c.say("MAIL FROM:<a@outside.test>", "530")
}

// Settings that cannot work change nothing: not the rules, and not where they hold.
func TestBadCertificateKeepsTheOldBinding(t *testing.T) {
	p := newPorts()
	s, b := newTestSet(t, p, `bindings: [":25"]`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	b.set(t, virtualServers(`bindings: [":465"], greeting: new, tls: {implicit: true, certificateFile: /nowhere/cert, keyFile: /nowhere/key}`))
	s.Update()
	if got := bindings(s) + "; " + states(s); got != "vs0 :25; vs0 degraded" {
		t.Error(got)
	}
	dial(t, p.at(":25")).begin()
	b.set(t, virtualServers(`bindings: [":26"]`))
	s.Update()
	if got := bindings(s) + "; " + states(s); got != "vs0 :26; vs0 running" {
		t.Error(got)
	}
}

func TestBindingsChangeHands(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []string // bindings with %1, %2, %3 for ports
		want          string
		faults        int
	}{
		"swap":                         {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%2", "127.0.0.1:%1"}, "vs0 127.0.0.1:%2, vs1 127.0.0.1:%1", 0},
		"chain":                        {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%2", "127.0.0.1:%3"}, "vs0 127.0.0.1:%2, vs1 127.0.0.1:%3", 0},
		"wider":                        {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{":%1", "127.0.0.1:%2"}, "vs0 :%1, vs1 127.0.0.1:%2", 0},
		"narrower, the rest to others": {[]string{":%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%1", "127.0.0.2:%1"}, "vs0 127.0.0.1:%1, vs1 127.0.0.2:%1", 0},
		"held by one that stays":       {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%1", "127.0.0.1:%1"}, "vs0 127.0.0.1:%1, vs1 127.0.0.1:%2", 1},
		"taken by somebody else":       {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%4", "127.0.0.1:%1"}, "vs0 127.0.0.1:%1, vs1 127.0.0.1:%2", 2},
		"wider, and taken":             {[]string{"127.0.0.1:%1", "127.0.0.1:%2"}, []string{"127.0.0.1:%1", ":%2\", \"127.0.0.1:%4"}, "vs0 127.0.0.1:%1, vs1 127.0.0.1:%2", 1},
	} {
		t.Run(name, func(t *testing.T) {
			ports := freePorts(t, 3)
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			_, busy, _ := net.SplitHostPort(taken.Addr().String())
			fill := strings.NewReplacer("%1", ports[0], "%2", ports[1], "%3", ports[2], "%4", busy)
			spec := func(list []string) (all []string) {
				for _, b := range list {
					all = append(all, `bindings: ["`+fill.Replace(b)+`"]`)
				}
				return all
			}
			s, b := newRealSet(t, spec(c.before)...)
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			b.set(t, virtualServers(spec(c.after)...))
			s.Update()
			if got, want := bindings(s), fill.Replace(c.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if n := len(s.Faults()); n != c.faults {
				t.Errorf("%d faults: %v", n, s.Faults())
			}
			for _, a := range s.Addresses() {
				_, port, _ := net.SplitHostPort(a.Addr.String())
				host, _, _ := net.SplitHostPort(a.Binding)
				dial(t, net.JoinHostPort(firstOf(host, "127.0.0.1"), port)).begin()
			}
		})
	}
}

func TestNothingWorks(t *testing.T) {
	p := newPorts()
	p.busy[":25"] = true
	s, _ := newTestSet(t, p, `bindings: [":25"]`)
	var f *Fault
	if err := s.Start(); !errors.As(err, &f) {
		t.Fatal(err)
	}
	if st := s.Status()[0]; st.State != StateFailed || !strings.Contains(st.Reason, "cannot listen on :25") {
		t.Errorf("%+v", st)
	}
}

// A listener that dies is told, and opened again.
func TestListenerDies(t *testing.T) {
	b := &book{}
	b.set(t, virtualServers(`bindings: [":25"]`))
	var last net.Listener
	s := NewSet(Deps{Self: guid(2), Directory: b, Submitter: &tray{}, Listen: func(string) (net.Listener, error) {
		var err error
		last, err = net.Listen("tcp", "127.0.0.1:0")
		return last, err
	}})
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	last.Close()
	for deadline := time.Now().Add(10 * time.Second); states(s) != "vs0 failed"; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(states(s))
		}
	}
	if st := s.Status()[0]; !strings.Contains(st.Reason, "closed network connection") {
		t.Errorf("%+v", st)
	}
	s.Update()
	if got := states(s); got != "vs0 running" {
		t.Error(got)
	}
	dial(t, last.Addr().String()).begin()
}

// A shutdown that has no more time does not wait for those who sit in the tarpit.
func TestShutdownEmptiesTheTarpit(t *testing.T) {
	p := newPorts()
	s, _ := newTestSet(t, p, `bindings: [":25"], recipientFilter: {tarpit: 60s}`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, p.at(":25"))
	c.begin()
	c.say("MAIL FROM:<a@outside.test>", "250")
	if _, err := io.WriteString(c.conn, "RCPT TO:<nobody@example.test>\r\n"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) && err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
