package categorize_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Over random directories, however tangled: exactly the mailboxes and outside
// addresses that can be reached get the message, once each, and no recipient
// ends in nothing.
func TestReachesWhomItShould(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "recipients")
		b := bookOf(t, tangle(rt, n))
		var to []string
		for range rapid.IntRange(1, 4).Draw(rt, "addressed") {
			to = append(to, node(rapid.IntRange(0, n).Draw(rt, "to"))+"@example.test")
		}
		r, err := categorize.New(b, paris1).Resolve(envelope(t, to...))
		if err != nil {
			rt.Fatal(err)
		}
		var got []string
		for _, x := range r.Targets {
			got = append(got, x.Address.Key())
		}
		want, seen := map[string]bool{}, map[string]bool{}
		for i, a := range to {
			met := map[string]bool{}
			visit(b, a, map[string]bool{}, met)
			first := true // nothing on the way was dealt with for an earlier recipient
			for name := range met {
				first = first && !seen[name]
			}
			led := slices.ContainsFunc(r.Failed, func(f categorize.Failure) bool { return f.Recipient == i }) ||
				slices.ContainsFunc(r.Targets, func(t mail.Target) bool { return t.Recipient == i })
			if first && !led && !slices.Contains(to[:i], a) {
				rt.Fatalf("%s vanished", a)
			}
			visit(b, a, want, map[string]bool{})
			visit(b, a, map[string]bool{}, seen)
		}
		slices.Sort(got)
		if w := sorted(want); !slices.Equal(got, w) {
			rt.Fatalf("to %v:\n got %v\nwant %v", to, got, w)
		}
	})
}

func node(i int) string { return fmt.Sprintf("r%d", i) }

// tangle builds n recipients that lead to each other at random; r<n> does not
// exist.
func tangle(t *rapid.T, n int) []*directoryv1.Object {
	objs, err := directory.DecodeYAML(strings.NewReader(organization), "test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		other := func() string { return node(rapid.IntRange(0, n).Draw(t, "other")) }
		address := func() string {
			if rapid.IntRange(0, 3).Draw(t, "outside") == 0 {
				return other() + "@outside.test"
			}
			return other() + "@example.test"
		}
		r := &directoryv1.Recipient{Addresses: []string{node(i) + "@example.test"}}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			r.Type = &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "paris-2"}}
		case 1:
			r.Type = &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "paris-1", ForwardTo: address(),
				DeliverAndForward: rapid.Bool().Draw(t, "keep")}}
		case 2:
			r.Type = &directoryv1.Recipient_Contact{Contact: &directoryv1.Contact{TargetAddress: address()}}
		default:
			g := &directoryv1.DistributionGroup{}
			for range rapid.IntRange(0, 4).Draw(t, "members") {
				g.Members = append(g.Members, other())
			}
			r.Type = &directoryv1.Recipient_Group{Group: g}
		}
		objs = append(objs, &directoryv1.Object{Metadata: &directoryv1.Metadata{Name: node(i)}, Spec: &directoryv1.Object_Recipient{Recipient: r}})
	}
	return objs
}

// visit is plain reachability.
func visit(b *book, address string, into, seen map[string]bool) {
	o := b.byKey[address]
	switch {
	case o == nil && strings.HasSuffix(address, "@outside.test"):
		into[address], seen[address] = true, true
		return
	case o == nil || seen[o.Metadata.Name]:
		return
	}
	seen[o.Metadata.Name] = true
	if m := o.GetRecipient().GetMailbox(); m != nil {
		if m.ForwardTo == "" || m.DeliverAndForward {
			into[address] = true
		}
		if m.ForwardTo != "" {
			visit(b, m.ForwardTo, into, seen)
		}
	}
	if c := o.GetRecipient().GetContact(); c != nil {
		visit(b, c.TargetAddress, into, seen)
	}
	for _, m := range o.GetRecipient().GetGroup().GetMembers() {
		visit(b, m+"@example.test", into, seen)
	}
}

func sorted(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func BenchmarkResolve(b *testing.B) {
	c := categorize.New(newBook(b), paris1)
	env := envelope(b, "bob@example.test")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Resolve(env); err != nil {
			b.Fatal(err)
		}
	}
}
