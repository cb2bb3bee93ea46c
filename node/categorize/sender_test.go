package categorize_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// restricted is a connector with sender lists.
func restricted(name string, accept, reject []string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Name: name, Guid: uuid.NewString()},
		Spec: &directoryv1.Object_SmtpConnector{SmtpConnector: &directoryv1.SMTPConnector{
			RoutingGroup: "paris", Restrictions: &directoryv1.Restrictions{AcceptFrom: accept, RejectFrom: reject},
		}},
	}
}

func recipient(name string, group bool, addresses, members []string) *directoryv1.Object {
	r := &directoryv1.Recipient{Addresses: addresses}
	if group {
		r.Type = &directoryv1.Recipient_Group{Group: &directoryv1.DistributionGroup{Members: members}}
	} else {
		r.Type = &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "paris-1"}}
	}
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Name: name, Guid: uuid.NewString()},
		Spec:     &directoryv1.Object_Recipient{Recipient: r},
	}
}

func listBook(t fataler, objs ...*directoryv1.Object) *book {
	b := &book{byName: map[string]*directoryv1.Object{}, byKey: map[string]*directoryv1.Object{}, revision: 1}
	for _, o := range objs {
		if r := o.GetRecipient(); r != nil {
			b.byName[o.Metadata.Name] = o
			for _, a := range r.Addresses {
				b.byKey[directory.AddressKey(a)] = o
			}
		}
	}
	var err error
	if b.conf, err = directory.NewConfiguration(1, objs); err != nil {
		t.Fatal(err)
	}
	return b
}

type fataler interface{ Fatal(...any) }

// names is the rule once more, without an index: does a list name the sender?
func (b *book) names(list []string, from mail.Address) bool {
	var inside func(group, member string, seen map[string]bool) bool
	inside = func(group, member string, seen map[string]bool) bool {
		if group == member {
			return true
		}
		if seen[group] {
			return false
		}
		seen[group] = true
		return slices.ContainsFunc(b.byName[group].GetRecipient().GetGroup().GetMembers(), func(m string) bool { return inside(m, member, seen) })
	}
	for _, e := range list {
		local, domain := strings.ToLower(from.Local), strings.ToLower(from.Domain)
		switch {
		case e == "<>":
			if from.IsZero() {
				return true
			}
		case from.IsZero():
		case strings.HasPrefix(e, "@*."):
			if strings.HasSuffix(domain, strings.ToLower(e[2:])) {
				return true
			}
		case e[0] == '@':
			if domain == strings.ToLower(e[1:]) {
				return true
			}
		case strings.Contains(e, "@"):
			if local+"@"+domain == strings.ToLower(e) {
				return true
			}
		default:
			o, ok := b.byKey[local+"@"+domain]
			if ok && inside(e, o.Metadata.Name, map[string]bool{}) {
				return true
			}
		}
	}
	return false
}

// What the categorizer says of a sender lets each connector decide as the lists
// themselves do.
func TestSenderAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var objs []*directoryv1.Object
		people, groups := []string{"ann", "ben", "cid"}, []string{"g0", "g1", "g2", "g3"}
		for _, p := range people {
			objs = append(objs, recipient(p, false, []string{p + "@a.test", p + "@x.b.test"}, nil))
		}
		for _, g := range groups {
			members := rapid.SliceOfDistinct(rapid.SampledFrom(append(people, groups...)), rapid.ID).Draw(t, g)
			objs = append(objs, recipient(g, true, []string{g + "@a.test"}, members))
		}
		entry := rapid.SampledFrom([]string{
			"<>", "ann@a.test", "Ben@X.B.test", "out@c.test", "@a.test", "@b.test", "@*.b.test", "@*.test", "ann", "g0", "g1", "g2", "g3",
		})
		var lists [][]string
		for i := range rapid.IntRange(0, 4).Draw(t, "connectors") {
			accept := rapid.SliceOfNDistinct(entry, 0, 4, rapid.ID).Draw(t, "accept")
			reject := rapid.SliceOfNDistinct(entry, 0, 4, rapid.ID).Draw(t, "reject")
			objs = append(objs, restricted(fmt.Sprintf("c%d", i), accept, reject))
			lists = append(lists, accept, reject)
		}
		b := listBook(t, objs...)
		c := categorize.New(b, mail.GUID{})
		for _, from := range []mail.Address{
			{}, {Local: "ann", Domain: "a.test"}, {Local: "Ann", Domain: "X.b.test"}, {Local: "ben", Domain: "x.b.test"},
			{Local: "cid", Domain: "a.test"}, {Local: "g1", Domain: "a.test"}, {Local: "out", Domain: "c.test"}, {Local: "out", Domain: "y.x.b.test"},
		} {
			for range 2 { // found out, then remembered
				s, err := c.Sender(from)
				if err != nil {
					t.Fatal(err)
				}
				for _, list := range lists {
					got := slices.ContainsFunc(directory.SenderIDs(list), func(id uint64) bool { return slices.Contains(s.IDs(), id) })
					// The null reverse path carries its mark wherever there are lists.
					if want := b.names(list, from); got != want {
						t.Fatalf("%v is in %v: %t, want %t (%x)", from, list, got, want, s)
					}
				}
			}
		}
	})
}

func TestSenderFollowsTheDirectory(t *testing.T) {
	ann := mail.Address{Local: "ann", Domain: "a.test"}
	person, group := recipient("ann", false, []string{"ann@a.test"}, nil), recipient("trainees", true, []string{"t@a.test"}, nil)
	b := listBook(t, person, group, restricted("c", nil, []string{"trainees"}))
	c := categorize.New(b, mail.GUID{})
	if s, err := c.Sender(ann); s != "" || err != nil {
		t.Errorf("%x, %v", s, err)
	}
	b.byName["trainees"] = recipient("trainees", true, nil, []string{"ann"})
	if s, _ := c.Sender(ann); s != "" {
		t.Error("the directory has not changed, and the answer has")
	}
	b.revision++
	if s, _ := c.Sender(ann); len(s.IDs()) != 1 {
		t.Errorf("after the change: %x", s)
	}
	// A directory that does not answer delays the message, and is not remembered.
	b.revision++
	b.err = errors.New("no disk")
	if _, err := c.Resolve(&mail.Envelope{From: ann}); err == nil {
		t.Error("no error")
	}
	b.err = nil
	if r, err := c.Resolve(&mail.Envelope{From: ann}); err != nil || len(r.Sender.IDs()) != 1 {
		t.Errorf("%x, %v", r.Sender, err)
	}
}

// Where no connector has a list, the sender costs nothing; where some have, it
// is looked up once.
func BenchmarkSender(b *testing.B) {
	var people []string
	var objs []*directoryv1.Object
	for i := range 1000 {
		p := fmt.Sprintf("p%d", i)
		people = append(people, p)
		objs = append(objs, recipient(p, false, []string{p + "@a.test"}, nil))
	}
	from := mail.Address{Local: "p500", Domain: "a.test"}
	run := func(name string, connectors int) {
		all := append(slices.Clone(objs), recipient("everybody", true, nil, people))
		for i := range connectors {
			all = append(all, restricted(fmt.Sprintf("c%d", i), nil, []string{"everybody", fmt.Sprintf("@d%d.test", i)}))
		}
		bk := listBook(b, all...)
		c := categorize.New(bk, mail.GUID{})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Sender(from); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("no lists", 0)
	run("1000 lists of 1000 people", 1000)
}
