package vserver

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// All virtual servers of a node share its descriptors; who goes makes room.
func TestCrowd(t *testing.T) {
	reg := prometheus.NewRegistry()
	p := newPorts()
	b := &book{}
	b.set(t, virtualServers(`bindings: [":25"]`, `bindings: [":26"]`))
	s := NewSet(Deps{Self: guid(2), Directory: b, Submitter: &tray{}, Listen: p.listen, MaxConnections: 2, Metrics: reg})
	t.Cleanup(func() { s.Shutdown(t.Context()) })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	one, two := dial(t, p.at(":25")), dial(t, p.at(":26"))
	for _, binding := range []string{":25", ":26"} {
		c, err := net.Dial("tcp", p.at(binding))
		if err != nil {
			t.Fatal(err)
		}
		r := newReader(c)
		if l, _ := r.ReadString('\n'); l != crowdedReply {
			t.Errorf("%s: %q", binding, l)
		}
		if _, err := r.ReadByte(); err == nil {
			t.Errorf("%s: not closed", binding)
		}
		c.Close()
	}
	one.begin()
	two.begin()
	two.say("QUIT", "221")
	for deadline := time.Now().Add(10 * time.Second); s.crowd.open.Load() != 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are counted", s.crowd.open.Load())
		}
	}
	dial(t, p.at(":26")).begin()
	for _, v := range []string{"vs0", "vs1"} {
		if got := gathered(t, reg)["postroad_smtp_refused_total{too_many_connections,"+v+"}"]; got != 1 {
			t.Errorf("%s: %v refusals", v, got)
		}
	}
}

// A client that expects TLS would not understand a reply in clear.
func TestCrowdUnderTLS(t *testing.T) {
	s := newSite(t, ", tls: {implicit: true}", "", func(d *Deps) { d.MaxConnections = 1 })
	address := s.set.Addresses()[0].Addr.String()
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for deadline := time.Now().Add(10 * time.Second); s.set.crowd.open.Load() != 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the first connection is not counted")
		}
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, err := newReader(c).ReadString('\n'); l != "" || err == nil {
		t.Errorf("%q, %v", l, err)
	}
}

func TestCrowdedReplyIsOneLine(t *testing.T) {
	if strings.Index(crowdedReply, "\r\n") != len(crowdedReply)-2 {
		t.Errorf("%q", crowdedReply)
	}
}
