package directory

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"Alice@Example.COM":       "alice@example.com",
		"alice@example.com.":      "alice@example.com.", // not an address: kept as it is
		"SMTP:Alice@Example.com":  "alice@example.com",
		"smtp:alice@example.com":  "alice@example.com",
		`"Alice"@example.com`:     "alice@example.com",
		`"A B"@example.com`:       `"a b"@example.com`,
		`"a\"b"@example.com`:      `"a\"b"@example.com`,
		`"a@b"@example.com`:       `"a@b"@example.com`,
		"x@Bücher.example":        "x@xn--bcher-kva.example",
		"x@[IPv6:2001:DB8::1]":    "x@[ipv6:2001:db8::1]",
		"X400:C=US;a= ;O=Example": "x400:c=us;a= ;o=example",
		"Ä@example.com":           "ä@example.com",
		"not an address":          "not an address",
		"":                        "",
	} {
		if got := AddressKey(in); got != want {
			t.Errorf("AddressKey(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAddressKeyIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringOfN(rapid.RuneFrom([]rune("aB.\"\\ @é")), 1, 8, -1).Draw(t, "local")
		key := AddressKey(quoteLocal(local) + "@Example.com")
		if again := AddressKey(key); again != key || strings.ToLower(key) != key {
			t.Fatalf("%q becomes %q, then %q", local, key, again)
		}
	})
}

func FuzzSplitAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"a b"@c.d`, "a@[1.2.3.4]", "@", `"\`, "a..b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		local, domain, err := splitAddress(s)
		if err != nil {
			return
		}
		if again, d, err := splitAddress(quoteLocal(local) + "@" + domain); len(local) < 30 && (err != nil || again != local || d != domain) {
			t.Errorf("%q: %q %q, then %q %q %v", s, local, domain, again, d, err)
		}
	})
}

func TestParseGUID(t *testing.T) {
	const s = "01234567-89ab-cdef-0123-456789abcdef"
	if g, err := ParseGUID(strings.ToUpper(s)); err != nil || g.String() != s || g.IsZero() {
		t.Errorf("%v %v", g, err)
	}
	for _, bad := range []string{"", "00000000-0000-0000-0000-000000000000", "{" + s + "}", strings.ReplaceAll(s, "-", ""), s + "0"} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
