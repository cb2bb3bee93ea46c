package vserver

import (
	"io"
	"net"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A client that leaves within a chunk which was refused for its form ends its message, and
// nothing else: the transaction is still there while its content is read.
func TestGoneInARefusedChunk(t *testing.T) {
	core, logged := observer.New(zap.ErrorLevel)
	s := newSite(t, "", "", func(d *Deps) { d.Logger = zap.New(core) })
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<bob@example.test>", "250")
	p.say("BDAT 5\r\none", "250 2.0.0 5 octets")
	if _, err := io.WriteString(p.conn, "BDAT 10 FIRST\r\ntwo"); err != nil {
		t.Fatal(err)
	}
	if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if r := p.reply(); r != "EOF" {
		t.Errorf("told %q", r)
	}
	for _, e := range logged.All() {
		t.Errorf("%s %v", e.Message, e.ContextMap()["panic"])
	}
	if len(s.tray.got) != 0 {
		t.Errorf("accepted %q", s.tray.text)
	}
}
