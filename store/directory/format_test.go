package directory

import (
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestFormatFor(t *testing.T) {
	var objs []*directoryv1.Object
	for i, d := range []string{"*", "*.net", "*.example.net", "Example.Net", "x.example.net"} {
		guid := GUID{15: byte(i + 1)}
		objs = append(objs, &directoryv1.Object{
			Metadata: &directoryv1.Metadata{Kind: KindMessageFormat, Name: d, Guid: guid.String()},
			Spec:     &directoryv1.Object_MessageFormat{MessageFormat: &directoryv1.MessageFormat{Domain: d, NoDeliveryReports: true}},
		})
	}
	for domain, want := range map[string]string{
		"other.test": "*", "x.net": "*.net", "example.net": "Example.Net", "EXAMPLE.NET.": "Example.Net",
		"y.example.net": "*.example.net", "z.y.example.net": "*.example.net", "X.example.net": "x.example.net", "notexample.net": "*.net", "net": "*",
	} {
		c, err := NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.FormatFor(domain).Name; got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
		if c, err = NewConfiguration(1, objs[1:2]); err != nil {
			t.Fatal(err)
		}
		if got := c.FormatFor(domain); got.Spec.GetNoDeliveryReports() != strings.HasSuffix(DomainKey(domain), ".net") {
			t.Errorf("%s with *.net alone: %q", domain, got.Name)
		}
	}
}

// Only domains that are ours alone can stand for a host's address.
func TestFirstDomain(t *testing.T) {
	for domains, want := range map[string]string{
		"[{domain: b.test, shared: true}, {domain: c.test}, {domain: d.test}]": "c.test",
		"[{domain: b.test, shared: true}]":                                     "",
	} {
		objs, err := DecodeYAML(strings.NewReader("kind: RecipientPolicy\nname: p\nguid: 00000000-0000-0000-0000-000000000001\nspec: {domains: "+domains+"}\n"), "t")
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.FirstDomain(); got != want {
			t.Errorf("%s: %q, want %q", domains, got, want)
		}
	}
}
