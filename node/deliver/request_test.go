package deliver

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
)

// What providers answer to ETRN (RFC 1985), ATRN (RFC 2645) and TURN.
func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		verb    mail.Dequeuing
		what    []string
		ext     []string
		script  func(verb, line string) string
		account bool
		answers string // "what=code", in order
		said    []string
		turned  bool
		err     string
	}{
		"ETRN": {verb: mail.ETRN, what: []string{"a.example", "@b.example", "#c"}, ext: []string{"ETRN"},
			script: func(_, line string) string {
				return map[string]string{"ETRN a.example": "253 2.0.0 OK, 7 pending messages for node a.example started",
					"ETRN @b.example": "251 2.0.0 OK, no messages waiting for node", "ETRN #c": "459 4.7.1 Node #c not allowed: no"}[line]
			},
			answers: "a.example=253 @b.example=251 #c=459", said: []string{"ETRN a.example", "ETRN @b.example", "ETRN #c", "QUIT"}},
		"ETRN not offered": {verb: mail.ETRN, what: []string{"a.example"}, said: []string{"QUIT"}, err: "does not offer ETRN"},
		"ETRN, gone": {verb: mail.ETRN, what: []string{"a.example", "b.example"}, ext: []string{"ETRN"},
			script:  func(verb, _ string) string { return map[string]string{"ETRN": "421 4.3.2 bye"}[verb] },
			answers: "a.example=421", said: []string{"ETRN a.example"}},
		"ETRN, lost": {verb: mail.ETRN, what: []string{"a.example"}, ext: []string{"ETRN"},
			script: func(verb, _ string) string { return map[string]string{"ETRN": "drop"}[verb] }, said: []string{"ETRN a.example"}, err: "lost while waiting for the answer to ETRN"},
		"ATRN": {verb: mail.ATRN, what: []string{"a.example", "b.example"}, ext: []string{"ATRN"},
			script: func(verb, _ string) string {
				return map[string]string{"ATRN": "250 OK now reversing the connection"}[verb]
			},
			answers: "a.example,b.example=250", said: []string{"ATRN a.example,b.example"}, turned: true},
		"ATRN, not listed": {verb: mail.ATRN, script: func(verb, _ string) string { return map[string]string{"ATRN": "453 You have no mail"}[verb] },
			answers: "=453", said: []string{"ATRN", "QUIT"}},
		"ATRN, unknown": {verb: mail.ATRN, script: func(verb, _ string) string { return map[string]string{"ATRN": "502 5.5.1 what"}[verb] },
			answers: "=502", said: []string{"ATRN", "QUIT"}},
		"ATRN, commands at once": {verb: mail.ATRN, script: func(verb, _ string) string {
			return map[string]string{"ATRN": "250 OK\r\nEHLO provider.example"}[verb]
		}, said: []string{"ATRN"}, err: "commands before the greeting"},
		"TURN": {verb: mail.TURN, ext: []string{"TURN"}, script: func(verb, _ string) string { return map[string]string{"TURN": "250 turning"}[verb] },
			answers: "=250", said: []string{"TURN"}, turned: true},
		"TURN not offered": {verb: mail.TURN, said: []string{"QUIT"}, err: "does not offer TURN"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{ext: c.ext, script: c.script}
				d := &pipeDialer{server: f.serve}
				turned := false
				remote, answers, err := New(Options{Hostname: "me.example", Dialer: d}).Request(t.Context(), smartHost(), Request{Verb: c.verb, What: c.what,
					Take: func(_ context.Context, conn net.Conn) {
						turned = true
						_, _ = io.WriteString(conn, "QUIT\r\n") // as the fake, still a server, understands it
						_, _ = io.ReadAll(conn)
						conn.Close()
					}})
				d.wg.Wait()
				var got []string
				for _, a := range answers {
					got = append(got, a.What+"="+strings.Fields(a.Reply.String())[0])
				}
				if strings.Join(got, " ") != c.answers && c.err == "" || turned != c.turned {
					t.Errorf("answers %q, turned %v", got, turned)
				}
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if remote != "[192.0.2.1]:25" {
					t.Errorf("remote %q", remote)
				}
				said := f.lines[1:] // after EHLO
				if c.turned {
					said = said[:len(said)-1]
				}
				if !slices.Equal(said, c.said) {
					t.Errorf("said %q, want %q", said, c.said)
				}
			})
		})
	}
}
