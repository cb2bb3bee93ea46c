package mail

import "testing"

// FuzzParseAddress: what was parsed is written in a form that parses to the same,
// and no other form of it has another key.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@example.com", `"a b"@example.com`, `"a\"\\b"@x`, `"plain"@example.com`, "jörg@bücher.example", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
		"a@[tag:x]", "a%b@c", `"a@b"@c`, "a.b.@c", "@", "a@b@c", "a@-b", "a@b.", `""@c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q: %+v is written %q, that is %+v %v", s, a, a.String(), again, err)
		}
		if again.Key() != a.Key() {
			t.Errorf("%q: keys %q and %q", s, a.Key(), again.Key())
		}
		for i := range len(a.String()) {
			if c := a.String()[i]; c < ' ' || c == 0x7f {
				t.Errorf("%q holds a control character", a.String())
			}
		}
	})
}
