package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

const hopeless = `
kind: Recipient
name: ping
spec: {addresses: [ping@example.test], contact: {targetAddress: pong@example.test}}
---
kind: Recipient
name: pong
spec: {addresses: [pong@example.test], contact: {targetAddress: ping@example.test}}
---
kind: Recipient
name: empty
spec: {addresses: [empty@example.test], group: {}}
---
kind: Recipient
name: some
spec: {addresses: [some@example.test], group: {members: [ping, alice, fax]}}
---
kind: Recipient
name: all-lost
spec: {addresses: [lost@example.test], group: {members: [ping, pong]}}
---
kind: Recipient
name: fax
spec: {addresses: [fax@example.test], contact: {targetAddress: "TELEX:1234"}}
---
kind: Recipient
name: small
spec: {addresses: [small@example.test], mailbox: {homeServer: paris-1, quota: {size: 1000}}}
---
kind: Recipient
name: brim
spec: {addresses: [brim@example.test], mailbox: {homeServer: paris-1, quota: {count: 9}}}
---
kind: Recipient
name: brims
spec: {addresses: [brims@example.test], group: {members: [brim]}}
`

// What could only come back is foreseen, and nothing else is.
func TestForesee(t *testing.T) {
	p := newPipeline(t)
	objs := threeSites(t)
	more, err := directory.DecodeYAML(strings.NewReader(hopeless), "hopeless")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range more {
		o.Metadata.Guid = mail.GUID{0xee, 15: byte(i + 1)}.String()
		objs = append(objs, o)
	}
	p.cfg.Catalog = follow(t, filepath.Join(t.TempDir(), "catalog"), objs)
	p.category = categorize.New(p.cfg.Catalog, p.self)
	p.Rebuild()
	box := filepath.Join(p.maildirRoot(), "brim@example.test")
	if err := errors.Join(os.MkdirAll(box, 0o700), os.WriteFile(filepath.Join(box, "maildirsize"), []byte("9C\n5000 9\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"alice@example.test":        "",
		"olav@example.test":         "",
		"postmaster@example.test":   "",
		"x@outside.test":            "",
		"some@example.test":         "",
		"nobody@example.test":       "5.1.1",
		"ping@example.test":         "5.4.6",
		"lost@example.test":         "5.4.6",
		"empty@example.test":        "5.2.4",
		"fax@example.test":          "5.4.4",
		"x@paris-1.example.test":    "5.4.8",
		"small@example.test":        "",
		"small@example.test 5000":   "5.2.3",
		"alice@example.test 500000": "",
		"brim@example.test":         "5.2.2",
		"brims@example.test":        "", // a group: another member may have room
	} {
		address, size, _ := strings.Cut(to, " ")
		got := ""
		if o := p.foresee(target(t, "joe@outside.test").Address, target(t, address).Address, int64(len(size))*1000); o != nil {
			got = o.Status.String()
			if o.Text == "" {
				t.Errorf("%s: no words", to)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}
