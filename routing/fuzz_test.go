package routing

import (
	"strings"
	"testing"
)

// FuzzMatch compares the index with the naive reading of one pattern, whatever
// pattern and address are.
func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"*", "*.net", "abc.*.company.com", "*net", "c=us;*", "*x*", "", "**", "."} {
		f.Add("SMTP", pattern, "a.net")
		f.Add("X400", pattern, "c=us;a=net")
	}
	f.Fuzz(func(t *testing.T, typ, pattern, address string) {
		if typ != typeSMTP {
			typ = "X400"
		}
		top := Topology{
			Self: guid("s"), Groups: []Group{{guid("g"), "g"}},
			Servers: []Server{{GUID: guid("s"), Name: "s", Group: guid("g"), Up: true}},
			Connectors: []Connector{{
				GUID: guid("c"), Name: "c", Kind: SMTPConnector, Group: guid("g"),
				AddressSpaces: []AddressSpace{{Type: typ, Pattern: pattern}},
				Bridgeheads:   []Bridgehead{{Server: guid("s"), Up: true}},
			}},
		}
		got := Build(top).ToAddress(typ, address, nil).Kind == Outbound
		want := specificity(typ, pattern, canonical(typ, address)) >= 0
		// Lower case may change the length of text outside ASCII; destinations
		// are in lower case already.
		if got != want && strings.ToLower(pattern) == pattern {
			t.Errorf("%s:%q matches %q: %t, want %t", typ, pattern, address, got, want)
		}
	})
}
