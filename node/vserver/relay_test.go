package vserver

import (
	"net/netip"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func TestRelayRules(t *testing.T) {
	in, out := client{ip: netip.MustParseAddr("::ffff:192.0.2.7")}, client{ip: netip.MustParseAddr("198.51.100.1")}
	v6 := client{ip: netip.MustParseAddr("2001:db8::1%eth0")}
	user, node := client{ip: out.ip, account: "alice"}, client{ip: out.ip, node: true}
	for _, c := range []struct {
		name   string
		policy *directoryv1.RelayPolicy
		who    client
		want   bool
	}{
		{"default: stranger", nil, out, false},
		{"default: user", nil, user, true},
		{"default: node", nil, node, true},
		{"no address", nil, client{}, false},
		{"users may not", &directoryv1.RelayPolicy{AuthenticatedMayNot: true}, user, false},
		{"users may not, nodes always", &directoryv1.RelayPolicy{AuthenticatedMayNot: true}, node, true},
		{"network", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}}, in, true},
		{"other network", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}}, out, false},
		{"single address", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.7"}}, in, true},
		{"IPv6 with a zone", &directoryv1.RelayPolicy{Networks: []string{"2001:db8::/32"}}, v6, true},
		{"all except these", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}, AllExcept: true, Force: true}, in, false},
		{"all except others", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}, AllExcept: true, Force: true}, out, true},
		{"all except, not forced", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}, AllExcept: true}, out, false},
		{"all except, not forced: those listed neither", &directoryv1.RelayPolicy{Networks: []string{"192.0.2.0/24"}, AllExcept: true}, in, false},
		{"nonsense", &directoryv1.RelayPolicy{Networks: []string{"everybody"}}, out, false},
	} {
		r := newRelayRules(c.policy, &directory.Configuration{})
		if got, err := r.allows(c.who, "outside.test"); got != c.want || err != nil {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestConnectorsThatLetAnybodyRelay(t *testing.T) {
	for _, c := range []struct {
		connector *directoryv1.SMTPConnector
		domain    string
		want      bool
	}{
		{connector("partner.test", true), "Partner.test", true},
		{connector("partner.test", true), "a.partner.test", false},
		{connector("*.partner.test", true), "a.b.partner.test", true},
		{connector("*.partner.test", true), "partner.test", false},
		{connector("*.partner.test", true), "evilpartner.test", false},
		{connector("a.*.partner.test", true), "b.partner.test", true},
		{connector("*", true), "x.test", false},
		{connector("partner.test", false), "partner.test", false},
		{&directoryv1.SMTPConnector{AllowRelay: true, ForceOpenRelay: true, AddressSpaces: []*directoryv1.AddressSpace{{Pattern: "*"}}}, "x.test", true},
		{&directoryv1.SMTPConnector{AllowRelay: true, Disabled: true, AddressSpaces: []*directoryv1.AddressSpace{{Pattern: "x.test"}}}, "x.test", false},
		{&directoryv1.SMTPConnector{AllowRelay: true, AddressSpaces: []*directoryv1.AddressSpace{{Type: "X400", Pattern: "x.test"}}}, "x.test", false},
	} {
		conf, err := directory.NewConfiguration(1, []*directoryv1.Object{{
			Metadata: &directoryv1.Metadata{Name: "c", Guid: guid(1).String()}, Spec: &directoryv1.Object_SmtpConnector{SmtpConnector: c.connector},
		}})
		if err != nil {
			t.Fatal(err)
		}
		r := newRelayRules(nil, conf)
		if got, err := r.allows(client{}, c.domain); got != c.want || err != nil {
			t.Errorf("%v, %s: %v", c.connector, c.domain, got)
		}
	}
}

func connector(pattern string, relay bool) *directoryv1.SMTPConnector {
	return &directoryv1.SMTPConnector{AllowRelay: relay, AddressSpaces: []*directoryv1.AddressSpace{{Pattern: pattern}}}
}
