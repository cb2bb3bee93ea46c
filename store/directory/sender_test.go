package directory

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSender(t *testing.T) {
	for text, want := range map[string]Sender{
		"<>":                      {SenderNull, ""},
		"Anna@Example.COM":        {SenderAddress, "anna@example.com"},
		"@Example.com":            {SenderDomain, "example.com"},
		"@bücher.example":         {SenderDomain, "xn--bcher-kva.example"},
		"@*.Example.com":          {SenderBelow, "example.com"},
		"sales":                   {SenderRecipient, "sales"},
		"Recipient/a@example.com": {SenderRecipient, "a@example.com"},
	} {
		if got, err := ParseSender(text); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "@", "@*.", "a b", "a@", "@-x", "Recipient/", "a..b@c"} {
		if got, err := ParseSender(text); err == nil {
			t.Errorf("%q: %v and no error", text, got)
		}
	}
}

// A recipient in a connector's lists exists, and stays as long as it is there.
func TestSendersExist(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	restricted := func(list string) string {
		return "kind: RoutingGroupConnector\nname: guarded\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {rejectFrom: [" + list + "]}}"
	}
	err := applyError(t, d, decodeAll(t, restricted("trainees"))...)
	if !strings.Contains(err.Error(), "restrictions.rejectFrom[0]: Recipient/trainees does not exist") {
		t.Errorf("error %v", err)
	}
	// Both in one go is fine, and so is the connector again with the group stored.
	apply(t, d, append(decodeAll(t, restricted("trainees")), group("trainees"))...)
	apply(t, d, decodeAll(t, restricted("trainees, '@example.net'"))...)
	apply(t, d, decodeAll(t, "kind: RoutingGroup\nname: rome\nspec: {}")...)
	_, _, err = d.Delete(t.Context(), KindRecipient, "trainees", 0, false)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "is still used by RoutingGroupConnector/guarded") {
		t.Errorf("error %v", err)
	}
	apply(t, d, decodeAll(t, restricted("'@example.net'"))...)
	if _, _, err = d.Delete(t.Context(), KindRecipient, "trainees", 0, false); err != nil {
		t.Error(err)
	}
}

// What is read means the same when its parts are written out again, and equal
// entries have equal IDs.
func FuzzParseSender(f *testing.F) {
	for _, s := range []string{"<>", "a@b.c", "@b.c", "@*.b.c", "sales", "Recipient/a@b", `"a b"@c`, "@", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseSender(text)
		if err != nil {
			return
		}
		written := map[SenderKind]string{
			SenderNull: "<>", SenderAddress: e.Value, SenderDomain: "@" + e.Value, SenderBelow: "@*." + e.Value, SenderRecipient: "Recipient/" + e.Value,
		}[e.Kind]
		again, err := ParseSender(written)
		if err != nil || again != e || again.ID() != e.ID() {
			t.Fatalf("%q is %+v, written %q, which is %+v (%v)", text, e, written, again, err)
		}
	})
}
