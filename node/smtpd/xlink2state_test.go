package smtpd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/smtpd"
)

// linking adds X-LINK2STATE to a recorder, for a client that has authenticated.
// What it is handed it sends back, in pieces of four octets.
type linking struct {
	*recorder
	answer string // "yes", "no" or "broken"
}

func (l linking) AcceptsLinkState() bool { return l.authed }

func (l linking) LinkState() (smtpd.LinkStateCarrier, error) {
	switch l.answer {
	case "no":
		return nil, &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Not neighbours"}
	case "broken":
		return nil, errors.New("no table")
	}
	return func(ctx context.Context, c net.Conn) {
		l.log.add("link state begins")
		defer l.log.add("link state ends")
		defer context.AfterFunc(ctx, func() { c.Close() })()
		piece := make([]byte, 4)
		for {
			if _, err := io.ReadFull(c, piece); err != nil {
				return
			}
			if _, err := c.Write(piece); err != nil || string(piece) == "stop" {
				return
			}
		}
	}, nil
}

// linked is a connection that X-LINK2STATE has turned.
func linked(t *testing.T) (client net.Conn, server *smtpd.Server, served chan struct{}, log *eventLog) {
	t.Helper()
	log = &eventLog{}
	b := &backend{log: log, set: settings{links: "yes"}}
	server = smtpd.New(smtpd.Config{Hostname: "mail1.example.com", AllowInsecureAuth: true}, b, nil)
	client, theirs := net.Pipe()
	served = make(chan struct{})
	go func() { server.ServeConn(theirs); close(served) }()
	in := bufio.NewReader(client)
	say := func(command, want string) {
		t.Helper()
		if command != "" {
			if _, err := io.WriteString(client, command+"\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, want) {
				t.Fatalf("%s: %q (%v), want %s", command, line, err, want)
			}
			if line[3] == ' ' {
				return
			}
		}
	}
	say("", "220")
	say("EHLO node.example", "250")
	say("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")
	say("X-LINK2STATE", "220")
	return client, server, served, log
}

// After the 220 nothing is taken for a command and nothing is said in SMTP's words.
func TestLinkStateHasTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, served, _ := linked(t)
		want := []byte("QUIT\r\nNOOP\r\nstop")
		go func() { _, _ = client.Write(want) }()
		got, err := io.ReadAll(client)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q came back for %q (%v)", got, want, err)
		}
		<-served
		server.Close()
	})
}

// It may last for longer than SMTP's time limits.
func TestLinkStateHasNoTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, served, _ := linked(t)
		<-time.After(24 * time.Hour)
		go func() { _, _ = client.Write([]byte("stop")) }()
		if got, err := io.ReadAll(client); err != nil || string(got) != "stop" {
			t.Errorf("after a day %q (%v)", got, err)
		}
		<-served
		server.Close()
	})
}

// Shutdown ends it and waits for it.
func TestShutdownEndsLinkState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, served, log := linked(t)
		synctest.Wait()
		began := time.Now()
		if err := server.Shutdown(t.Context()); err != nil || time.Since(began) > time.Second {
			t.Errorf("Shutdown took %v (%v)", time.Since(began), err)
		}
		<-served
		if e := log.take(); e[len(e)-1] != "link state ends" {
			t.Errorf("Shutdown did not wait: %q", e)
		}
		client.Close()
	})
}
