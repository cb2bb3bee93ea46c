package pipeline

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// The directory files an address under the key under which mail looks for it.
// The two functions are in packages that may not import each other.
func TestAddressKeysAgree(t *testing.T) {
	atom := rapid.StringMatching(`[A-Za-z0-9!#$%&'*+/=?^_{|}~é-]{1,8}`)
	quoted := rapid.Map(rapid.StringMatching(`([ -!#-\[\]-~]|\\[ -~]|ü){0,10}`), func(s string) string { return `"` + s + `"` })
	label := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9-]{0,5}[A-Za-z0-9])?`), rapid.SampledFrom([]string{"BÜCHER", "bücher", "xn--bcher-kva", "例え", "ΣΊΣΥΦΟΣ", "İstanbul", "faß"}))
	join := func(g *rapid.Generator[string]) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfN(g, 1, 3), func(parts []string) string { return strings.Join(parts, ".") })
	}
	local := rapid.OneOf(join(atom), quoted)
	domain := rapid.OneOf(join(label), rapid.SampledFrom([]string{"[192.0.2.1]", "[IPv6:2001:DB8::1]"}))
	parsed := 0
	rapid.Check(t, func(t *rapid.T) {
		text := local.Draw(t, "local") + "@" + domain.Draw(t, "domain")
		a, err := mail.ParseAddress(text)
		if err != nil {
			return
		}
		parsed++
		for _, written := range []string{text, a.String(), strings.ToLower(text)} {
			if got, want := directory.AddressKey(written), a.Key(); got != want {
				t.Fatalf("%q: the directory's key is %q, mail's %q", written, got, want)
			}
		}
	})
	if parsed == 0 {
		t.Error("no generated address could be parsed")
	}
}

func FuzzAddressKeys(f *testing.F) {
	for _, s := range []string{"a@b", `"a b"@c.example`, `"a"@c`, "X@BÜCHER.example", "smtp:a@b", "é@example.test", `"a\"b"@[192.0.2.1]`, "a@b."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := mail.ParseAddress(text)
		if err != nil {
			return
		}
		if got, want := directory.AddressKey(text), a.Key(); got != want {
			t.Errorf("%q: the directory's key is %q, mail's %q", text, got, want)
		}
	})
}
