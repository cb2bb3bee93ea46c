package up

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func addresses(boxes []mailbox) []string {
	var all []string
	for _, b := range boxes {
		name, _, _ := strings.Cut(b.address, "@")
		all = append(all, name+" on "+b.server)
	}
	slices.Sort(all)
	return all
}

func recipient(name string, r *directoryv1.Recipient) *directoryv1.Object {
	return &directoryv1.Object{Metadata: &directoryv1.Metadata{Kind: "Recipient", Name: name}, Spec: &directoryv1.Object_Recipient{Recipient: r}}
}

func groupOf(address string, members ...string) *directoryv1.Recipient {
	return &directoryv1.Recipient{Addresses: []string{address},
		Type: &directoryv1.Recipient_Group{Group: &directoryv1.DistributionGroup{Members: members}}}
}

func TestMailboxes(t *testing.T) {
	o := placed(t, append(demo(t),
		// None of these is a mailbox that mail ends in here.
		recipient("gone", &directoryv1.Recipient{Addresses: []string{"gone@example.test"},
			Type: &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "nowhere"}}}),
		recipient("silent", &directoryv1.Recipient{Type: &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "oslo-1"}}}),
		recipient("away", &directoryv1.Recipient{Addresses: []string{"away@example.test"},
			Type: &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "oslo-1", ForwardTo: "olav"}}}),
		recipient("typed", &directoryv1.Recipient{Addresses: []string{"SMTP:typed@example.test"},
			Type: &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "oslo-1"}}}),
	), 0)
	boxes := o.mailboxes()
	for group, want := range map[string][]string{
		"paris":  {"alice on paris-1", "antoine on paris-2"},
		"berlin": {"britta on berlin-2", "bruno on berlin-1"},
		"oslo":   {"oda on oslo-1", "olav on oslo-1", "typed on oslo-1"},
	} {
		if got := addresses(boxes[group]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", group, got, want)
		}
	}
	if len(boxes) != 3 {
		t.Errorf("mailboxes in %d groups, want 3", len(boxes))
	}
}

func TestMembers(t *testing.T) {
	o := placed(t, append(demo(t),
		recipient("loop-a", groupOf("loop-a@example.test", "loop-b", "alice", "nobody")),
		recipient("loop-b", groupOf("loop-b@example.test", "loop-a", "olav", "alice", "pat")),
		recipient("empty", groupOf("empty@example.test")),
	), 0)
	for name, want := range map[string][]string{
		"leads":    {"alice on paris-1", "bruno on berlin-1", "olav on oslo-1"},
		"everyone": {"alice on paris-1", "antoine on paris-2", "britta on berlin-2", "bruno on berlin-1", "oda on oslo-1", "olav on oslo-1"},
		"loop-a":   {"alice on paris-1", "olav on oslo-1"},
		"empty":    nil,
	} {
		if got := addresses(o.members(o.named(t, "Recipient", name).GetRecipient().GetGroup())); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if to, members := o.everyone(); to != "leads@example.test" && to != "everyone@example.test" || len(members) < 3 {
		t.Errorf("everyone is %s with %v", to, addresses(members))
	}
	if to, members := placed(t, demo(t)[:8], 0).everyone(); to != "" || members != nil {
		t.Errorf("an organisation without groups has %s with %v", to, members)
	}
}

// --once sends one letter for each ordered pair of groups and one to a list.
func TestLetters(t *testing.T) {
	c := &cluster{org: placed(t, demo(t), 0)}
	var got []string
	ids := map[string]bool{}
	for _, l := range c.letters() {
		got = append(got, fmt.Sprintf("%s > %s (%d)", l.from.group, l.to, len(l.expected)))
		ids[l.id] = true
	}
	want := []string{
		"berlin > olav@example.test (1)", "berlin > alice@example.test (1)",
		"oslo > bruno@example.test (1)", "oslo > alice@example.test (1)",
		"paris > bruno@example.test (1)", "paris > olav@example.test (1)",
		"berlin > leads@example.test (3)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(ids) != len(got) {
		t.Errorf("%d IDs for %d letters", len(ids), len(got))
	}
}
