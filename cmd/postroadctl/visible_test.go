package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"sigs.k8s.io/yaml"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// hostile clears the screen, sets the title, and makes a row of its own.
const hostile = "\x1b[2J\x1b]0;owned\a\u009b31m\x7f\r\nforged\trow\vx\fy"

// What strangers wrote is text to a terminal: in tables, in lines, in errors and in JSON.
func TestNothingControlsTheTerminal(t *testing.T) {
	t.Setenv("POSTROAD_ENDPOINT", "unix:"+(&fakeNode{name: "paris-1" + hostile, missing: map[string]string{"oslo-1": hostile}}).serve(t))
	for _, line := range []string{
		"queue list --empty", "queue list -o name", "queue messages", "queue freeze q1", "queue retry", "message show retry", "queue list -o json", "queue list -o yaml",
		"node outbound enable --yes", "node list \x1b[2J", "node list",
	} {
		code, stdout, stderr := run(t, "", strings.Split(line, " ")...)
		for name, text := range map[string]string{"standard output": stdout, "standard error": stderr} {
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
				t.Errorf("%s (%d): %s has control characters: %q", line, code, name, text)
			}
		}
		if strings.HasSuffix(line, "json") && !json.Valid([]byte(stdout)) {
			t.Errorf("%s: no JSON: %s", line, stdout)
		}
	}
}

// A sender with a character that YAML does not take hides no answer.
func TestHostileYAML(t *testing.T) {
	for _, text := range []string{hostile, "\x7f", "\u0080", "\u009f"} {
		var out bytes.Buffer
		c := &client{format: "yaml"}
		if done, err := c.message(&out, &queuev1.Message{Sender: text}); !done || err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var back struct{ Sender string }
		if err := yaml.Unmarshal(out.Bytes(), &back); err != nil || back.Sender != text {
			t.Errorf("%q became %q, %v", text, back.Sender, err)
		}
	}
}

func TestValueStaysInItsCell(t *testing.T) {
	var out bytes.Buffer
	c := &client{}
	if err := c.table(&out, "A\tB", [][]string{{hostile, "2"}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || strings.ContainsAny(out.String(), "\v\f\r\t") {
		t.Errorf("%d lines: %q", n, out.String())
	}
	c.format = "name"
	out.Reset()
	if err := c.table(&out, "A\tB", [][]string{{hostile, "2"}}); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	o := &queuev1.Outlook{Message: &queuev1.Message{QueueId: "q", Sender: "a\nstate  forged"}}
	if err := outlook(&out, o, time.Now()); err != nil || strings.Contains(out.String(), "\nstate  forged") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä\tb\n":       "plain ä\tb\n",
		"\x1b[2J":            `\u001b[2J`,
		"\u009b1m":           `\u009b1m`,
		"\x9b1m":             `\x9b1m`,
		"bell\a del\x7f\r\n": `bell\u0007 del\u007f\u000d` + "\n",
	} {
		var out bytes.Buffer
		if n, err := (visible{&out}).Write([]byte(in)); n != len(in) || err != nil || out.String() != want {
			t.Errorf("%q: %q, %d, %v; want %q", in, out.String(), n, err, want)
		}
	}
}
