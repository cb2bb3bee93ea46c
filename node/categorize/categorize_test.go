package categorize_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// book is a directory in memory.
type book struct {
	conf   *directory.Configuration
	byName map[string]*directoryv1.Object
	byKey  map[string]*directoryv1.Object
	err    error

	revision int64
}

func (b *book) Config() *directory.Configuration { return b.conf }

func (b *book) Lookup(key string) (*directoryv1.Object, bool, error) {
	o, ok := b.byKey[key]
	return o, ok, b.err
}

func (b *book) RecipientByName(name string) (*directoryv1.Object, bool, error) {
	o, ok := b.byName[name]
	return o, ok, b.err
}

func (b *book) GroupsOf(name string) ([]string, error) {
	var groups []string
	for g, o := range b.byName {
		if slices.Contains(o.GetRecipient().GetGroup().GetMembers(), name) {
			groups = append(groups, g)
		}
	}
	return groups, b.err
}

func (b *book) Revision() int64 { return b.revision }

const organization = `
kind: Organization
name: example
spec: {postmaster: chief@example.test, maxRecipients: 20}
---
kind: RoutingGroup
name: paris
spec: {}
---
kind: Server
name: paris-1
spec: {routingGroup: paris, fqdn: paris-1.example.test}
---
kind: Server
name: paris-2
spec: {routingGroup: paris, fqdn: paris-2.example.test}
---
kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}, {domain: shared.test, shared: true}]}
`

const recipients = `
kind: Recipient
name: alice
spec: {addresses: [alice@example.test, "SMTP:a@example.test", "X400:c=us;a= ;s=alice"], mailbox: {homeServer: paris-1}}
---
kind: Recipient
name: bob
spec: {addresses: [bob@example.test], mailbox: {homeServer: paris-2}}
---
kind: Recipient
name: carol
spec: {addresses: [carol@example.test], mailbox: {homeServer: paris-1, forwardTo: bob@example.test}}
---
kind: Recipient
name: dave
spec: {addresses: [dave@example.test], mailbox: {homeServer: paris-1, forwardTo: out@outside.test, deliverAndForward: true}}
---
kind: Recipient
name: chief
spec: {addresses: [chief@example.test], mailbox: {homeServer: paris-1}}
---
kind: Recipient
name: partner
spec: {addresses: [partner@example.test], contact: {targetAddress: Joe@Outside.test}}
---
kind: Recipient
name: telex
spec: {addresses: [telex@example.test], contact: {targetAddress: "X400:C=us;S=Joe"}}
---
kind: Recipient
name: ping
spec: {addresses: [ping@example.test], contact: {targetAddress: pong@example.test}}
---
kind: Recipient
name: pong
spec: {addresses: [pong@example.test], mailbox: {homeServer: paris-1, forwardTo: ping@example.test}}
---
kind: Recipient
name: keeper
spec: {addresses: [keeper@example.test], mailbox: {homeServer: paris-1, forwardTo: mirror@example.test, deliverAndForward: true}}
---
kind: Recipient
name: mirror
spec: {addresses: [mirror@example.test], contact: {targetAddress: keeper@example.test}}
---
kind: Recipient
name: lost
spec: {addresses: [lost@example.test], contact: {targetAddress: nobody@example.test}}
---
kind: Recipient
name: all
spec: {addresses: [all@example.test], group: {members: [alice, team, bob, gone]}}
---
kind: Recipient
name: team
spec: {addresses: [team@example.test], group: {members: [bob, all, partner]}}
---
kind: Recipient
name: mixed
spec: {addresses: [mixed@example.test], group: {members: [alice, ping]}}
---
kind: Recipient
name: empty
spec: {addresses: [empty@example.test], group: {members: []}}
---
kind: Recipient
name: ring
spec: {addresses: [ring@example.test], group: {members: [ringback]}}
---
kind: Recipient
name: ringback
spec: {addresses: [ringback@example.test], contact: {targetAddress: ring@example.test}}
`

var (
	paris1 = guid(1)
	paris2 = guid(2)
)

func guid(n int) mail.GUID { return mail.GUID{0xaa, 14: byte(n >> 8), 15: byte(n)} }

func newBook(t testing.TB, extra ...string) *book {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(organization+"---"+recipients+strings.Join(extra, "")), "test")
	if err != nil {
		t.Fatal(err)
	}
	return bookOf(t, objs)
}

func bookOf(t testing.TB, objs []*directoryv1.Object) *book {
	t.Helper()
	b := &book{byName: map[string]*directoryv1.Object{}, byKey: map[string]*directoryv1.Object{}}
	for i, o := range objs {
		o.Metadata.Guid = guid(100 + i).String()
		switch o.Metadata.Name {
		case "paris-1":
			o.Metadata.Guid = paris1.String()
		case "paris-2":
			o.Metadata.Guid = paris2.String()
		}
		if o.GetRecipient() == nil {
			continue
		}
		b.byName[o.Metadata.Name] = o
		for _, a := range o.GetRecipient().Addresses {
			b.byKey[directory.AddressKey(strings.TrimPrefix(a, "SMTP:"))] = o
		}
	}
	var err error
	if b.conf, err = directory.NewConfiguration(1, objs); err != nil {
		t.Fatal(err)
	}
	return b
}

func envelope(t testing.TB, to ...string) *mail.Envelope {
	t.Helper()
	e := &mail.Envelope{ID: mail.ID{1}, From: mail.Address{Local: "s", Domain: "outside.test"}}
	for _, s := range to {
		a := mail.Address{Local: s}
		if strings.Contains(s, "@") {
			var err error
			if a, err = mail.ParseAddress(s); err != nil {
				t.Fatal(err)
			}
		}
		e.Recipients = append(e.Recipients, mail.Recipient{Address: a})
	}
	return e
}

// show writes a result on few lines: "0 alice@example.test local", "1 x@y 5.1.1".
func show(r categorize.Result) []string {
	var out []string
	for _, t := range r.Targets {
		d := t.Destination.String()
		switch t.Destination.Server {
		case paris1:
			d = "paris-1"
		case paris2:
			d = "paris-2"
		}
		out = append(out, fmt.Sprintf("%d %s %s", t.Recipient, t.Address, d))
	}
	for _, f := range r.Failed {
		out = append(out, fmt.Sprintf("%d %s %s", f.Recipient, f.Address, f.Outcome.Status))
	}
	return out
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name string
		to   []string
		want []string
	}{
		{"mailbox here", []string{"Alice@Example.TEST"}, []string{"0 alice@example.test local"}},
		{"proxy address", []string{"a@example.test"}, []string{"0 alice@example.test local"}},
		{"mailbox elsewhere", []string{"bob@example.test"}, []string{"0 bob@example.test paris-2"}},
		{"unknown in our domain", []string{"nobody@example.test"}, []string{"0 nobody@example.test 5.1.1"}},
		{"unknown in a shared domain", []string{"x@shared.test"}, []string{"0 x@shared.test SMTP:shared.test"}},
		{"outside", []string{"X@Outside.test"}, []string{"0 X@Outside.test SMTP:outside.test"}},
		{"outside twice", []string{"x@outside.test", "X@OUTSIDE.test."[:14]}, []string{"0 x@outside.test SMTP:outside.test"}},
		{"same mailbox by two addresses", []string{"a@example.test", "alice@example.test"}, []string{"0 alice@example.test local"}},
		{"forwarded", []string{"carol@example.test"}, []string{"0 bob@example.test paris-2"}},
		{"delivered and forwarded", []string{"dave@example.test"}, []string{"0 dave@example.test local", "0 out@outside.test SMTP:outside.test"}},
		{"contact", []string{"partner@example.test"}, []string{"0 Joe@Outside.test SMTP:outside.test"}},
		{"contact of another type", []string{"telex@example.test"}, []string{"0 telex@example.test X400:c=us;s=joe"}},
		{"redirected to nobody", []string{"lost@example.test"}, []string{"0 nobody@example.test 5.1.1"}},
		{"nested groups that contain each other, a member gone", []string{"all@example.test"},
			[]string{"0 alice@example.test local", "0 bob@example.test paris-2", "0 Joe@Outside.test SMTP:outside.test"}},
		{"group and its members", []string{"bob@example.test", "team@example.test", "partner@example.test"},
			[]string{"0 bob@example.test paris-2", "1 alice@example.test local", "1 Joe@Outside.test SMTP:outside.test"}},
		{"group twice", []string{"team@example.test", "team@example.test"},
			[]string{"0 bob@example.test paris-2", "0 alice@example.test local", "0 Joe@Outside.test SMTP:outside.test"}},
		{"loop of redirections", []string{"ping@example.test"}, []string{"0 ping@example.test 5.4.6"}},
		{"loop below a group", []string{"mixed@example.test"}, []string{"0 alice@example.test local", "0 ping@example.test 5.4.6"}},
		{"loop in which somebody keeps a copy", []string{"keeper@example.test"}, []string{"0 keeper@example.test local"}},
		{"the same loop from the other side", []string{"mirror@example.test"}, []string{"0 keeper@example.test local"}},
		{"empty group", []string{"empty@example.test"}, []string{"0 empty@example.test 5.2.4"}},
		{"group that leads back to itself only", []string{"ring@example.test"}, []string{"0 ring@example.test 5.4.6"}},
		{"postmaster", []string{"Postmaster"}, []string{"0 chief@example.test local"}},
		{"postmaster of our domain", []string{"postmaster@example.test"}, []string{"0 chief@example.test local"}},
		{"postmaster of a shared domain", []string{"postmaster@shared.test"}, []string{"0 postmaster@shared.test SMTP:shared.test"}},
		{"postmaster of a server", []string{"postmaster@paris-2.EXAMPLE.test"}, []string{"0 chief@example.test local"}},
		{"at the name of a server", []string{"bob@paris-2.example.test"}, []string{"0 bob@paris-2.example.test 5.4.8"}},
		{"postmaster outside", []string{"postmaster@outside.test"}, []string{"0 postmaster@outside.test SMTP:outside.test"}},
	} {
		r, err := categorize.New(newBook(t), paris1).Resolve(envelope(t, c.to...))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(r); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestOriginalRecipient(t *testing.T) {
	env := envelope(t, "a@example.test", "bob@example.test", "carol@example.test", "jörg@outside.test", "nobody@example.test")
	env.Recipients[1].Original = "rfc822;old@example.test"
	env.Recipients[1].Notify = mail.NotifySuccess
	env.Connector = mail.GUID{5}
	r, err := categorize.New(newBook(t), paris1).Resolve(env)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range r.Targets {
		got = append(got, x.Original)
	}
	if want := []string{"rfc822;a@example.test", "rfc822;old@example.test", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Targets[1].Notify != mail.NotifySuccess {
		t.Error("NOTIFY was lost")
	}
	if c := r.Targets[2].Destination.Connector; c != env.Connector {
		t.Errorf("connector %v", c)
	}
	if c := r.Targets[1].Destination.Connector; !c.IsZero() {
		t.Errorf("a mailbox is bound to connector %v", c)
	}
	f := r.Failed[0].Target()
	if f.Recipient != 4 || f.Address.Local != "nobody" || f.Original != "" {
		t.Errorf("failure %+v", f)
	}
}

func TestTemporaryErrors(t *testing.T) {
	down := errors.New("no answer")
	b := newBook(t)
	b.err = down
	if _, err := categorize.New(b, paris1).Resolve(envelope(t, "alice@example.test")); !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
	homeless := newBook(t, "---\nkind: Recipient\nname: h\nspec: {addresses: [h@example.test], mailbox: {homeServer: rome-1}}\n")
	_, err := categorize.New(homeless, paris1).Resolve(envelope(t, "alice@example.test", "h@example.test"))
	if err == nil || !strings.Contains(err.Error(), `"rome-1"`) {
		t.Errorf("got %v", err)
	}
	var status interface{ Status() mail.Status }
	if !errors.As(err, &status) || status.Status().String() != "5.1.6" {
		t.Errorf("a mailbox without a home: %v", err)
	}
	odd := newBook(t)
	odd.byKey["odd@example.test"] = &directoryv1.Object{Metadata: &directoryv1.Metadata{Name: "odd"}, Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{}}}
	_, err = categorize.New(odd, paris1).Resolve(envelope(t, "odd@example.test"))
	if !errors.As(err, &status) || status.Status().String() != "5.1.0" {
		t.Errorf("a recipient of no kind: %v", err)
	}
}

func TestRecipientLimit(t *testing.T) {
	var to []string
	for i := range 21 {
		to = append(to, fmt.Sprintf("u%d@outside.test", i))
	}
	c := categorize.New(newBook(t), paris1)
	r, err := c.Resolve(envelope(t, to...))
	if err != nil || len(r.Targets) != 0 || len(r.Failed) != 21 || r.Failed[20].Outcome.Status.String() != "5.5.3" {
		t.Errorf("%v: %d targets, failures %q", err, len(r.Targets), show(r))
	}
	if r, _ = c.Resolve(envelope(t, to[1:]...)); len(r.Targets) != 20 {
		t.Errorf("at the limit: %d targets", len(r.Targets))
	}
	later := envelope(t, to...)
	later.FromNode = paris2
	if r, _ = c.Resolve(later); len(r.Targets) != 21 {
		t.Errorf("on a later node: %d targets", len(r.Targets))
	}
}

func TestEvents(t *testing.T) {
	r, err := categorize.New(newBook(t), paris1).Resolve(envelope(t, "all@example.test", "alice@example.test", "carol@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range r.Events {
		got = append(got, e.Kind.String()+" "+e.Detail+" "+strings.Join(e.Recipients, ","))
		if e.ID != (mail.ID{1}) || e.Source != "CATEGORIZER" {
			t.Errorf("event %+v", e)
		}
	}
	want := []string{
		"EXPAND group all, 4 members all@example.test",
		"EXPAND group team, 3 members team@example.test",
		"REDIRECT contact partner Joe@Outside.test",
		"DUPLICATE mailbox bob bob@example.test",
		"EXPAND member gone of group all is not in the directory ",
		"DUPLICATE mailbox alice alice@example.test",
		"REDIRECT mailbox carol forwards bob@example.test",
		"DUPLICATE mailbox bob bob@example.test",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExplain(t *testing.T) {
	c := categorize.New(newBook(t), paris1)
	for address, want := range map[string][]string{
		"alice@example.test":    {"alice@example.test is mailbox alice on server paris-1"},
		"X400:C=US;a= ;S=Alice": {"alice@example.test is mailbox alice on server paris-1"},
		"x@outside.test":        {"x@outside.test is not in the directory and its domain is not ours: it is routed by address space"},
		"x@shared.test":         {"x@shared.test is not in the directory and its domain is shared with another system: it is routed by address space"},
		"X400:c=fr":             {"X400:c=fr is an address of type X400: it is routed by address space"},
		"nobody@example.test":   {"nobody@example.test is in a domain of this organisation, but nobody has that address"},
		"carol@example.test":    {"mail for mailbox carol is forwarded to bob@example.test", "bob@example.test is mailbox bob on server paris-2"},
		"ping@example.test": {"ping is a contact; its target address is pong@example.test", "mail for mailbox pong is forwarded to ping@example.test",
			"ping was on the way already: the redirections form a loop", "mail for ping@example.test would go round in a loop"},
	} {
		x, err := c.Explain(address)
		if err != nil || !slices.Equal(x.Lines, want) {
			t.Errorf("%s: %v\n got %q\nwant %q", address, err, x.Lines, want)
		}
		if len(x.Targets)+len(x.Failed) != 1 {
			t.Errorf("%s: %d targets, %d failures", address, len(x.Targets), len(x.Failed))
		}
	}
	if _, err := c.Explain("not an address"); err == nil {
		t.Error("an address that cannot be read is explained")
	}
}

func TestRepeatable(t *testing.T) {
	c := categorize.New(newBook(t), paris1)
	env := envelope(t, "all@example.test", "dave@example.test", "mixed@example.test", "nobody@example.test")
	a, errA := c.Resolve(env)
	b, errB := c.Resolve(env)
	if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("%v %v\n%+v\n%+v", errA, errB, a, b)
	}
}

// With a host for unresolved recipients nobody of our own domains is unknown;
// shared domains have another way.
func TestUnresolvedHost(t *testing.T) {
	b := newBook(t, "---\nkind: VirtualServer\nname: v\nspec: {server: paris-1, unresolvedHost: unix.test}\n")
	env := envelope(t, "Nobody@example.test", "lost@example.test", "x@shared.test", "bob@example.test")
	r, err := categorize.New(b, paris1).Resolve(env)
	if err != nil || len(r.Failed) != 0 {
		t.Fatalf("%v, failed %v", err, r.Failed)
	}
	var got []string
	for _, target := range r.Targets {
		got = append(got, target.Address.String()+" "+target.Destination.String())
	}
	want := []string{"Nobody@example.test UNRESOLVED:example.test", "x@shared.test SMTP:shared.test", "bob@example.test server:" + paris2.String()}
	// lost@ leads to nobody@, who has a copy already.
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// Of a message that a virtual server took its own setting counts, and stays with it.
	v, _ := b.Config().VirtualServer("v")
	env.VirtualServer = mail.GUID(v.GUID)
	if r, _ := categorize.New(b, paris1).Resolve(env); len(r.Failed) != 0 || r.Targets[0].Destination.Connector != env.VirtualServer {
		t.Errorf("%+v", r)
	}
	env.VirtualServer = mail.GUID{}
	if r, _ := categorize.New(b, paris2).Resolve(env); len(r.Failed) != 2 {
		t.Errorf("another server's setting counts here: %v", r.Failed)
	}
}
