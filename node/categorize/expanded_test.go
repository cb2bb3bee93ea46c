package categorize_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/mail"
)

// Who asks to hear of success hears of the group, once, and not of its members, who
// keep the rest of what was asked for (RFC 3461 section 5.2.7).
func TestExpanded(t *testing.T) {
	const more = "---\nkind: Recipient\nname: duo\nspec: {addresses: [duo@example.test], group: {members: [team, partner]}}\n" +
		"---\nkind: Recipient\nname: solo\nspec: {addresses: [solo@example.test], group: {members: [alice]}}\n" +
		"---\nkind: Recipient\nname: way\nspec: {addresses: [way@example.test], contact: {targetAddress: team@example.test}}\n"
	success, all := mail.NotifySuccess, mail.NotifySuccess|mail.NotifyFailure|mail.NotifyDelay
	for _, c := range []struct {
		name   string
		to     []string
		notify mail.Notify
		groups []string // with ORCPT
		left   mail.Notify
	}{
		{"a group", []string{"team@example.test"}, all, []string{"team@example.test "}, mail.NotifyFailure | mail.NotifyDelay},
		{"success alone", []string{"team@example.test"}, success, []string{"team@example.test "}, mail.NotifyNever},
		{"by default", []string{"team@example.test"}, 0, nil, 0},
		{"never", []string{"team@example.test"}, mail.NotifyNever, nil, mail.NotifyNever},
		{"nested", []string{"duo@example.test"}, success, []string{"duo@example.test "}, mail.NotifyNever},
		{"one member is an alias", []string{"solo@example.test"}, success, nil, success},
		{"behind a redirection", []string{"way@example.test"}, success, []string{"team@example.test rfc822;way@example.test"}, mail.NotifyNever},
		{"twice", []string{"team@example.test", "way@example.test"}, success, []string{"team@example.test ", "team@example.test rfc822;way@example.test"}, mail.NotifyNever},
		{"no group", []string{"alice@example.test"}, success, nil, success},
	} {
		env := envelope(t, c.to...)
		for i := range env.Recipients {
			env.Recipients[i].Notify = c.notify
		}
		r, err := categorize.New(newBook(t, more), paris1).Resolve(env)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range r.Expanded {
			got = append(got, fmt.Sprint(x.Address, " ", x.Original))
			if !x.Notify.WantsSuccess() {
				t.Errorf("%s: the group's own report is not wanted", c.name)
			}
		}
		if !slices.Equal(got, c.groups) {
			t.Errorf("%s: expanded %q, want %q", c.name, got, c.groups)
		}
		for _, x := range r.Targets {
			if x.Notify != c.left {
				t.Errorf("%s: NOTIFY of %s is %b, want %b", c.name, x.Address, x.Notify, c.left)
			}
		}
	}
}

// Of a message with too many recipients nothing was expanded.
func TestNothingIsExpandedBeyondTheLimit(t *testing.T) {
	env := envelope(t, "team@example.test")
	env.Recipients[0].Notify = mail.NotifySuccess
	for i := range 30 {
		env.Recipients = append(env.Recipients, envelope(t, fmt.Sprintf("u%d@outside.test", i)).Recipients...)
	}
	r, err := categorize.New(newBook(t), paris1).Resolve(env)
	if err != nil || len(r.Expanded) != 0 || len(r.Failed) != 31 {
		t.Errorf("%v: %d expanded, %d failed", err, len(r.Expanded), len(r.Failed))
	}
}
