package dsn

import (
	"bytes"
	netmail "net/mail"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func notices() map[string]Notice {
	known := Notice{
		Postmaster: mail.Address{Local: "postmaster", Domain: "paris.example"}, ReportingMTA: "paris-1.example", Organization: "Example", Server: "paris-1",
		ID: testID(2), Now: accepted.Add(time.Hour), Message: testID(1), Origin: testID(0), MessageID: "lunch@paris.example",
		Sender: "alice@paris.example", Recipients: []string{"bob@far.example", "carol@far.example"}, Size: 12345,
		At: accepted.Add(time.Hour), Reason: "spool: corrupt: body 01, chunk 3 has 17 octets, not 262144",
	}
	blind := known
	blind.Origin, blind.MessageID, blind.Sender, blind.Recipients, blind.Size = mail.ID{}, "", "", nil, 0
	blind.Reason = "spool: corrupt: the envelope"
	crash := known
	crash.Crashed, crash.Reason = true, "processing this message crashed twice: internal error of the categorizer: index out of range"
	for range 30 {
		crash.Recipients = append(crash.Recipients, "dora@far.example")
	}
	report := known
	report.Sender, report.Recipients = "", []string{"alice@paris.example"}
	return map[string]Notice{"aside-report": report, "aside-content": known, "aside-envelope": blind, "aside-crash": crash}
}

func TestNotice(t *testing.T) {
	for name, n := range notices() {
		content, env := n.Write()
		compare(t, filepath.Join("testdata", name+".eml"), content)
		if !env.Null() || !env.System || len(env.Recipients) != 1 || env.Recipients[0].Address != n.Postmaster ||
			env.Recipients[0].Notify != mail.NotifyNever || env.Size != int64(len(content)) {
			t.Errorf("%s: envelope %+v", name, env)
		}
	}
}

// Whatever is left of a message on a broken disk, the notice about it is a message.
func TestNoticeOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := notices()["aside-content"]
		n.Reason, n.MessageID, n.Sender = rapid.String().Draw(t, "reason"), rapid.String().Draw(t, "message id"), rapid.StringN(0, 3000, -1).Draw(t, "sender")
		n.Recipients = rapid.SliceOf(rapid.String()).Draw(t, "recipients")
		n.Crashed = rapid.Bool().Draw(t, "crashed")
		content, env := n.Write()
		for line := range bytes.SplitSeq(content, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		m, err := netmail.ReadMessage(bytes.NewReader(content))
		if err != nil || m.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Fatalf("%v\n%s", err, content)
		}
		if (env.Body == mail.Body8BitMIME) == isASCII(content) || !strings.Contains(string(content), n.Message.String()) {
			t.Fatalf("%+v\n%s", env, content)
		}
	})
}
