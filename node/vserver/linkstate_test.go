package vserver

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// links admits nodes as it is told and greets them by their GUID.
type links struct{ refuse error }

func (l *links) AdmitMail(mail.GUID) error { return l.refuse }

func (l *links) ServeMail(_ context.Context, node mail.GUID, c net.Conn) {
	_, _ = io.WriteString(c, "this is for "+node.String()+"\n")
}

// X-LINK2STATE is for those that a certificate proves to be nodes; users, however
// well they are known, and strangers get nothing.
func TestLinkStateIsForNodes(t *testing.T) {
	l := &links{}
	s := newSite(t, "", accounts, func(d *Deps) { d.LinkState = l })

	stranger := s.connect()
	if r := stranger.say("EHLO c.example", "250"); strings.Contains(r, "LINK2STATE") {
		t.Errorf("offered to anybody: %s", r)
	}
	stranger.say("X-LINK2STATE", "530 5.7.0")
	stranger.startTLS(serial(t, strangerSerial))
	stranger.say("EHLO c.example", "250")
	stranger.say("X-LINK2STATE", "530 5.7.0")

	user := s.connect()
	user.startTLS()
	user.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
	if r := user.say("EHLO c.example", "250"); strings.Contains(r, "LINK2STATE") {
		t.Errorf("offered to a user: %s", r)
	}
	user.say("X-LINK2STATE", "550 5.7.1")

	node := s.connect()
	node.startTLS(serial(t, nodeSerial))
	node.say("X-LINK2STATE", "530 5.7.0") // its certificate alone is not enough
	node.say("AUTH EXTERNAL =", "235")
	if r := node.say("EHLO paris-2", "250"); !strings.Contains(r, "X-LINK2STATE") {
		t.Errorf("not offered to a node: %s", r)
	}
	l.refuse = errors.New("not neighbours")
	node.say("X-LINK2STATE", "450 4.7.1 No link state now: not neighbours")
	l.refuse = nil
	node.say("X-LINK2STATE", "220 2.0.0")
	node.expect("this is for " + otherNode.String())
}

func TestLinkStateIsNotOffered(t *testing.T) {
	node := newSite(t, "", "").connect()
	node.startTLS(serial(t, nodeSerial))
	node.say("AUTH EXTERNAL =", "235")
	if r := node.say("EHLO paris-2", "250"); strings.Contains(r, "X-LINK2STATE") {
		t.Error(r)
	}
	node.say("X-LINK2STATE", "550 5.7.1")
}
