package submit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/submit"
)

// at is a desk of another node, or of the same one.
func at(t *testing.T, node mail.GUID) *desk {
	t.Helper()
	d := newDesk(t)
	d.Submitter = submit.New(submit.Config{Store: d.spool, Node: node})
	return d
}

// A message may come back to a node a few times: over a filter, a list, a
// forwarding. Then it goes in circles, however small the circle is.
func TestComesBack(t *testing.T) {
	here, there := at(t, mail.GUID{1}), at(t, mail.GUID{2})
	content := "Subject: x\r\n\r\nbody\r\n"
	for i := range 6 {
		s := submission()
		err := here.Submit(s, strings.NewReader(content))
		var r *submit.Refusal
		if i < 5 {
			if err != nil {
				t.Fatalf("time %d: %v", i+1, err)
			}
			content = here.body(t, s.Envelope.ID)
		} else if !errors.As(err, &r) || r.Reply().Code != 554 || r.Reply().Status != mail.StatusForwardingLoop || !strings.Contains(r.Reply().Text(), "5 times") {
			t.Fatalf("time %d: %v", i+1, err)
		}
		// Another node of the same name and a host outside have their own counts.
		s = submission()
		if err := there.Submit(s, strings.NewReader(content)); i < 5 && err != nil {
			t.Fatalf("at the other node, time %d: %v", i+1, err)
		} else if i < 5 {
			content = "Received: from a by b; Sun, 01 Mar 2026 12:00:00 +0000\r\n" + there.body(t, s.Envelope.ID)
		}
	}
}

// What counts is the mark in a Received field, wherever the field is folded, and
// once for each field.
func TestOwnTraceIsKnown(t *testing.T) {
	d := at(t, mail.GUID{1})
	s := submission()
	if err := d.Submit(s, strings.NewReader("\r\n")); err != nil {
		t.Fatal(err)
	}
	text := d.body(t, s.Envelope.ID)
	_, rest, ok := strings.Cut(text, "by mail.example.test (node ")
	mark, _, closed := strings.Cut(rest, ")")
	if !ok || !closed || len(mark) != 8 {
		t.Fatalf("no mark in %q", text)
	}
	mark = "(node " + mark + ")"
	five := func(field string) string { return strings.Repeat(field, 5) }
	for name, c := range map[string]struct {
		header string
		loops  bool
	}{
		"on the first line":       {five("Received: by mail.example.test " + mark + " id x; date\r\n"), true},
		"folded":                  {five("Received: from a\r\n\tby b\r\n " + mark + " id x; date\r\n"), true},
		"any case of the name":    {five("RECEIVED : by b " + mark + "\r\n"), true},
		"four only":               {strings.Repeat("Received: by b "+mark+"\r\n", 4), false},
		"many in one field":       {"Received: by b " + strings.Repeat(mark, 9) + "\r\n\t" + mark + "\r\n", false},
		"in other fields":         {five("X-Received: by b " + mark + "\r\nSubject: " + mark + "\r\n " + mark + "\r\n"), false},
		"in the body":             {"Subject: x\r\n\r\n" + five("Received: by b "+mark+"\r\n"), false},
		"of another node":         {five("Received: by mail.example.test (node 00000000) id x; date\r\n"), false},
		"the host name alone":     {five("Received: by mail.example.test id x; date\r\n"), false},
		"after an ordinary field": {five("Received: by b\r\nX: y\r\n\t" + mark + "\r\n"), false},
	} {
		err := d.Submit(submission(), strings.NewReader(c.header+"\r\n"))
		if loops := err != nil; loops != c.loops {
			t.Errorf("%s: %v", name, err)
		}
		s := submission()
		s.HopLimit = 0 // what is made here is not looked at
		if err := d.Submit(s, strings.NewReader(c.header+"\r\n")); err != nil {
			t.Errorf("%s, unchecked: %v", name, err)
		}
	}
	if again := fmt.Sprint(at(t, mail.GUID{1}).Submit(submission(), strings.NewReader(five("Received: by b "+mark+"\r\n")+"\r\n"))); !strings.Contains(again, "5.4.6") {
		t.Errorf("after a restart: %s", again)
	}
}
