package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/directory"
)

const someRules = `
kind: MailRule
name: elsewhere
spec: {match: 'sender = a@b', action: hold, servers: [oslo-1]}
---
kind: MailRule
name: bounce
spec: {match: 'recipient = olav@example.test', action: bounce, reason: why}
---
kind: MailRule
name: divert
spec: {match: 'size > 1M', action: redirect, to: 'connector:internet'}
---
kind: MailRule
name: gone
spec: {match: 'size > 1M', action: redirect, to: 'connector:gone'}
---
kind: MailRule
name: over
spec: {match: 'sender = x@y', action: hold, expires: '2001-01-01T00:00:00Z'}
---
kind: MailRule
name: wait
spec: {match: 'sender ~ *@shop.example', action: hold}
`

// The rules that this server follows are those of the directory, without what names
// other servers or cannot be followed.
func TestRulesOfTheDirectory(t *testing.T) {
	p := newPipeline(t)
	objs, err := directory.DecodeYAML(strings.NewReader(someRules), "rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range objs {
		o.GetMetadata().Guid = strings.Replace("00000000-0000-4000-8000-00000000000x", "x", string(rune('a'+i)), 1)
	}
	conf, err := directory.NewConfiguration(9, append(threeSites(t), objs...))
	if err != nil {
		t.Fatal(err)
	}
	p.applyRules(conf)
	states := ""
	for _, s := range p.Objects(directory.KindMailRule, "") {
		states += s.GetName() + ": " + s.GetState() + "\n"
	}
	if want := "bounce: in force\ndivert: in force\nover: ended\nwait: holds 0\n"; states != want {
		t.Errorf("rules\n%swant\n%s", states, want)
	}
	if got := p.Objects(directory.KindMailRule, "wait"); len(got) != 1 {
		t.Errorf("by name %v", got)
	}
}

// A filter means what `queue messages` shows: the message as a whole, and of its
// recipients those that it names.
func TestMatcher(t *testing.T) {
	p := newPipeline(t)
	to := func(local string) mail.Target { return mail.Target{Address: mail.Address{Local: local, Domain: "b"}} }
	env := &mail.Envelope{From: mail.Address{Local: "s", Domain: "shop.example"}, Size: 2 << 20, Priority: mail.PriorityHigh, MessageID: "m@x"}
	for text, want := range map[string]string{
		"recipient = x@b":                         "x",
		"recipient != x@b":                        "", // the message is not shown
		"recipient != z@b":                        "xy",
		"sender ~ *@shop.example and size > 1M":   "xy",
		"priority = high and message-id = <m@x>":  "xy",
		"state = frozen":                          "",
		"state = retry":                           "xy", // it waits by itself
		"nexthop = relay and connector = k":       "xy",
		"age > 1h and attempts >= 2":              "xy",
		"error ~ *full*":                          "x", // each has an error of its own
		"error ~ *busy* or error = disk":          "y",
		"error != \"disk full\"":                  "", // the message is not shown
		"node = paris-1 and queue = q and kind=r": "xy",
	} {
		f, err := filter.Parse(filter.Messages, text)
		if err != nil {
			t.Fatal(err)
		}
		match, got := p.matcher(f), ""
		for _, local := range []string{"x", "y"} {
			it := queue.Item{Envelope: env, Target: to(local), Recipients: []string{"x@b", "y@b"}, Attempts: 2, LastErr: map[string]string{"x": "disk full", "y": "busy"}[local], Errors: []string{"disk full", "busy"},
				Created: time.Now().Add(-2 * time.Hour).UnixMilli(), Due: time.Now().Add(time.Hour).UnixMilli(),
				Queue: queue.Info{ID: "q", Kind: "r", NextHop: "relay", Connector: "k"}}
			if match(it) {
				got += local
			}
		}
		if got != want {
			t.Errorf("%s: means %q, want %q", text, got, want)
		}
	}
	if p.matcher(nil) != nil {
		t.Error("no filter means all")
	}
}
