package vserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// ports hands out loopback listeners for made-up bindings, and refuses those
// that are busy.
type ports struct {
	mu   sync.Mutex
	busy map[string]bool
	open map[string]string // binding -> real address
}

func (p *ports) listen(binding string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[binding] {
		return nil, errors.New("address already in use")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		p.open[binding] = l.Addr().String()
	}
	return l, err
}

func (p *ports) at(binding string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[binding]
}

func (p *ports) set(binding string, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy[binding] = busy
}

func newPorts() *ports { return &ports{busy: map[string]bool{}, open: map[string]string{}} }

func virtualServers(specs ...string) string {
	var b strings.Builder
	b.WriteString(base)
	for i, s := range specs {
		fmt.Fprintf(&b, "---\nkind: VirtualServer\nname: vs%d\nspec: {server: paris-1, %s}\n", i, s)
	}
	return b.String()
}

func newTestSet(t *testing.T, p *ports, specs ...string) (*Set, *book) {
	t.Helper()
	b := &book{}
	b.set(t, virtualServers(specs...))
	s := NewSet(Deps{Self: guid(2), Directory: b, Submitter: &tray{}, Listen: p.listen})
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s, b
}

func bindings(s *Set) string {
	var out []string
	for _, a := range s.Addresses() {
		out = append(out, a.VirtualServer+" "+a.Binding)
	}
	return strings.Join(out, ", ")
}

func TestBusyPortIsNamedAndHarmsNobodyElse(t *testing.T) {
	p := newPorts()
	p.busy[":26"] = true
	s, _ := newTestSet(t, p, `bindings: [":25", ":26"]`, `bindings: [":27"]`)
	err := s.Start()
	if err == nil || !strings.Contains(err.Error(), "virtual server vs0: cannot listen on :26: address already in use") {
		t.Fatalf("got %v", err)
	}
	var f *Fault
	if !errors.As(err, &f) || f.VirtualServer != "vs0" || f.Binding != ":26" {
		t.Errorf("fault %+v", f)
	}
	if got := bindings(s); got != "vs0 :25, vs1 :27" {
		t.Errorf("listening: %s", got)
	}
	dial(t, p.at(":27")).say("EHLO c", "250")
}

func TestCertificateThatCannotBeReadKeepsOneVirtualServerOut(t *testing.T) {
	s, _ := newTestSet(t, newPorts(), `bindings: [":25"], tls: {certificateFile: /nowhere/cert, keyFile: /nowhere/key}`,
		`bindings: [":26"]`, `bindings: [":27"], tls: {implicit: true}`)
	err := s.Start()
	for _, want := range []string{"virtual server vs0: tls: certificate /nowhere/cert", "virtual server vs2: tls: is required"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if got := bindings(s); got != "vs1 :26" {
		t.Errorf("listening: %s", got)
	}
}

func TestFollowsTheConfiguration(t *testing.T) {
	p := newPorts()
	s, b := newTestSet(t, p, `bindings: [":25"]`, `bindings: [":26"]`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	first, second := dial(t, p.at(":25")), dial(t, p.at(":26"))
	first.say("EHLO c", "250")
	second.say("EHLO c", "250")
	kept := p.at(":25")

	// vs0 gets stricter and a second binding, vs1 moves, vs2 is new and takes
	// the binding that vs1 left.
	b.set(t, virtualServers(`bindings: [":25", ":125"], authentication: {required: true}`, `bindings: [":126"]`, `bindings: [":26"], fqdn: new.example.test`))
	s.Update()
	if got := bindings(s); got != "vs0 :125, vs0 :25, vs1 :126, vs2 :26" {
		t.Errorf("listening: %s", got)
	}
	if p.at(":25") != kept {
		t.Error("a binding that did not change was opened again")
	}
	first.say("MAIL FROM:<a@outside.test>", "530 5.7.0") // the new rule, on an old connection
	second.say("MAIL FROM:<a@outside.test>", "250")      // lives on without its binding
	if r := dial(t, p.at(":26")).say("EHLO c", "250"); !strings.Contains(r, "new.example.test") {
		t.Error(r)
	}

	// vs1 goes: whoever waits there for a command is told.
	b.set(t, virtualServers(`bindings: [":25"]`))
	s.Update()
	second.expect("421 4.3.2")
	first.say("NOOP", "250")
	if got := bindings(s); got != "vs0 :25" {
		t.Errorf("listening: %s", got)
	}
}

func TestShutdownLetsAMessageFinish(t *testing.T) {
	p := newPorts()
	s, _ := newTestSet(t, p, `bindings: [":25"]`)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	idle, busy := dial(t, p.at(":25")), dial(t, p.at(":25"))
	busy.say("EHLO c", "250")
	busy.say("MAIL FROM:<a@outside.test>", "250")
	busy.say("RCPT TO:<bob@example.test>", "250")
	busy.say("DATA", "354")
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.expect("421 4.3.2")
	busy.say("Subject: x\r\n\r\nhello\r\n.", "250 2.6.0")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", p.at(":25")); err == nil {
		t.Error("still listening")
	}
	s.Update()
	if s.Connections() != 0 {
		t.Error("started again after Shutdown")
	}
}

// listener is one that only opens and closes, for virtual time.
type listener struct {
	closed chan struct{}
	once   *sync.Once
}

func (l listener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l listener) Close() error              { l.once.Do(func() { close(l.closed) }); return nil }
func (l listener) Addr() net.Addr            { return &net.TCPAddr{} }

func TestFaultsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.busy[":25"] = true
		b := &book{}
		b.set(t, virtualServers(`bindings: [":25"]`))
		s := NewSet(Deps{Self: guid(2), Directory: b, Submitter: &tray{}, Listen: func(binding string) (net.Listener, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.busy[binding] {
				return nil, errors.New("busy")
			}
			return listener{make(chan struct{}), &sync.Once{}}, nil
		}})
		if s.Start() == nil {
			t.Fatal("no error")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		<-time.After(3 * retryFaults / 2)
		if len(s.Faults()) != 1 {
			t.Fatalf("faults %v", s.Faults())
		}
		p.set(":25", false)
		<-time.After(retryFaults)
		if len(s.Faults()) != 0 || bindings(s) != "vs0 :25" {
			t.Errorf("faults %v, listening %s", s.Faults(), bindings(s))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestVirtualServersOfOtherServersAreNotOurs(t *testing.T) {
	b := &book{}
	b.set(t, virtualServers(`bindings: [":25"]`))
	s := NewSet(Deps{Self: mail.GUID{1}, Directory: b, Submitter: &tray{}, Listen: newPorts().listen})
	defer s.Shutdown(context.Background())
	if err := s.Start(); err != nil || len(s.Addresses()) != 0 {
		t.Errorf("%v, %s", err, bindings(s))
	}
}
