package routing

import "testing"

func TestSpace(t *testing.T) {
	g := GUID{1}
	table := Build(Topology{
		Groups: []Group{{GUID: g}},
		Connectors: []Connector{{GUID: GUID{2}, Group: g, AddressSpaces: []AddressSpace{
			{Type: "SMTP", Pattern: "*"}, {Type: "smtp", Pattern: "*.NET"}, {Pattern: "example.net"}, {Type: "X400", Pattern: "c=no;*"},
		}}},
	})
	for _, k := range []struct{ typ, address, want string }{
		{"SMTP", "example.net", "SMTP:example.net"},
		{"SMTP", "a@other.net", "SMTP:*.net"},
		{"smtp", "net", "SMTP:*"},
		{"X400", "c=no;a=x", "X400:c=no;*"},
		{"X400", "c=se", ""},
		{"FAX", "1", ""},
	} {
		if got := table.Space(k.typ, k.address); got != k.want {
			t.Errorf("%s:%s counts for %q, want %q", k.typ, k.address, got, k.want)
		}
	}
}
