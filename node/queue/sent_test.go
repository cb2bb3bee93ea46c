package queue

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// A message counts once, when it leaves the group, whatever its recipients met.
func TestSentOnce(t *testing.T) {
	dest := mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "example.net"}
	target := mail.Target{Destination: dest}
	ok := mail.Outcome{Result: mail.Delivered, Text: "one"}
	other := mail.Outcome{Result: mail.Delivered, Text: "two"}
	late := mail.Outcome{Result: mail.Deferred}
	over := mail.Hop{Kind: mail.HopNode, Connector: mail.GUID{1}}
	for name, k := range map[string]struct {
		hop      mail.Hop
		visited  int
		outcomes []mail.Outcome
		want     int
		entered  bool
	}{
		"over a connector":     {over, 1, []mail.Outcome{ok}, 1, true},
		"passing through":      {over, 2, []mail.Outcome{ok}, 1, false},
		"two answers":          {over, 1, []mail.Outcome{late, ok, other}, 1, true},
		"deferred":             {over, 1, []mail.Outcome{late}, 0, false},
		"inside the group":     {mail.Hop{Kind: mail.HopNode}, 1, []mail.Outcome{ok}, 0, false},
		"into a mailbox":       {mail.Hop{Kind: mail.HopLMTP}, 1, []mail.Outcome{ok}, 0, false},
		"to a gateway":         {mail.Hop{Kind: mail.HopLMTP, Connector: mail.GUID{1}}, 1, []mail.Outcome{ok}, 1, true},
		"outside by DNS alone": {mail.Hop{Kind: mail.HopMX}, 1, []mail.Outcome{ok}, 1, true},
	} {
		d := &delivery{}
		d.Envelope = &mail.Envelope{Visited: make([]mail.GUID, k.visited)}
		for range k.outcomes {
			d.Targets = append(d.Targets, target)
		}
		n := 0
		for _, e := range events(d, part{to: len(k.outcomes)}, k.outcomes, k.hop) {
			if e.Sent == nil {
				continue
			}
			n++
			if e.Sent.Destination != dest || e.Sent.Entered != k.entered {
				t.Errorf("%s: %+v", name, *e.Sent)
			}
		}
		if n != k.want {
			t.Errorf("%s: counted %d times, want %d", name, n, k.want)
		}
	}
}
