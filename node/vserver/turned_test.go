package vserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// turned connects a site, as the one that called, with a provider.
func (s *site) turned(ctx context.Context, name string, secure bool) (p *typist, done chan error, messages *int) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	if secure {
		client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
		server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{certificate(s.t)}})
		shaken := make(chan error, 1)
		go func() { shaken <- client.Handshake() }()
		if err := errors.Join(server.Handshake(), <-shaken); err != nil {
			s.t.Fatal(err)
		}
		ours, theirs = client, server
	}
	done, messages = make(chan error, 1), new(int)
	go func() {
		var err error
		*messages, err = s.set.ServeTurned(ctx, name, ours)
		done <- err
	}()
	s.t.Cleanup(func() { theirs.Close() })
	theirs.SetDeadline(time.Now().Add(20 * time.Second))
	return &typist{s.t, theirs, bufio.NewReader(theirs)}, done, messages
}

// The provider that we called is let in where strangers are not, and gets no more
// rights by it.
func TestServeTurned(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newSite(t, `, tls: {required: true}, authentication: {required: true}, connectionControl: {only: true, networks: [192.0.2.0/24]}, limits: {maxConnections: 1},
  protocol: {proxyNetworks: [127.0.0.0/8], xclientNetworks: [127.0.0.0/8]}, blockLists: {lists: [{zone: everybody.test}]}`, "")
		p, done, messages := s.turned(t.Context(), "", secure)
		p.expect("220 paris-1.example.test")
		if r := p.say("EHLO provider.test", "250"); strings.Contains(r, "STARTTLS") == secure || strings.Contains(r, "XCLIENT") {
			t.Errorf("secure %v: %s", secure, r)
		}
		for range 2 {
			p.say("MAIL FROM:<a@outside.example>", "250")
			p.say("RCPT TO:<x@elsewhere.example>", "550 5.7.1") // no relay
			p.say("RCPT TO:<bob@example.test>", "250")
			p.say("DATA", "354")
			p.say("Subject: x\r\n\r\nx\r\n.", "250")
		}
		p.say("QUIT", "221")
		if err := <-done; err != nil || *messages != 2 {
			t.Errorf("secure %v: %d messages, %v", secure, *messages, err)
		}
		with := "ESMTP"
		if secure {
			with = "ESMTPS"
		}
		if len(s.tray.got) != 2 || s.tray.got[0].With != with || s.tray.got[0].Envelope.ClientHost != "127.0.0.1" {
			t.Errorf("secure %v: %+v", secure, s.tray.got)
		}
	}
}

// The end of the fetching ends idle connections at once, and lets a message finish.
func TestServeTurnedEnds(t *testing.T) {
	s := newSite(t, "", "")
	ctx, cancel := context.WithCancel(t.Context())
	idle, idleDone, _ := s.turned(ctx, "default", false)
	idle.expect("220")
	busy, busyDone, messages := s.turned(ctx, "default", false)
	busy.expect("220")
	busy.say("EHLO provider.test", "250")
	busy.say("MAIL FROM:<a@outside.example>", "250")
	busy.say("RCPT TO:<bob@example.test>", "250")
	busy.say("DATA", "354")
	cancel()
	idle.expect("421 4.3.2")
	if err := <-idleDone; err != nil {
		t.Error(err)
	}
	busy.say("Subject: x\r\n\r\nx\r\n.", "250")
	busy.expect("421 4.3.2")
	if err := <-busyDone; err != nil || *messages != 1 {
		t.Errorf("%d messages, %v", *messages, err)
	}
}

func TestServeTurnedNowhere(t *testing.T) {
	s := newSite(t, "", "")
	p, done, _ := s.turned(t.Context(), "gone", false)
	if err := <-done; !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %v", err)
	}
}
