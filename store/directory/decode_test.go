package directory

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func decodeOne(t *testing.T, text string) *directoryv1.Object {
	t.Helper()
	objs, err := DecodeYAML(strings.NewReader(text), "test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(objs) != 1 {
		t.Fatalf("%d objects, want 1", len(objs))
	}
	return objs[0]
}

func TestDecodeFriendlyForms(t *testing.T) {
	o := decodeOne(t, `
kind: SMTPConnector
name: internet
guid: 00000000-0000-4000-8000-000000000001
revision: 12
spec:
  routing_group: paris            # snake_case
  smartHosts: ["[192.0.2.1]:26"]  # camelCase
  addressSpaces:
    - SMTP:*.net;10
    - "*"
    - X400:c=us;a= ;p=example;5
    - {type: SMTP, pattern: example.org, cost: 3}
  onLinkDown: Hold
  fallback: less-specific
  scope: SCOPE_ROUTING_GROUP
  tls: required
  restrictions: {maxMessageSize: 10MiB, priorities: [low]}
  detection: {glitchRetries: 0, glitchInterval: 500ms, probeInterval: 1m30s, idleProbeInterval: 5m}
  disabled: true
`)
	s := o.GetSmtpConnector()
	want := []*directoryv1.AddressSpace{
		{Type: "SMTP", Pattern: "*.net", Cost: 10}, {Pattern: "*"},
		{Type: "X400", Pattern: "c=us;a= ;p=example", Cost: 5}, {Type: "SMTP", Pattern: "example.org", Cost: 3},
	}
	for i, a := range s.GetAddressSpaces() {
		if !proto.Equal(a, want[i]) {
			t.Errorf("address space %d: %v, want %v", i, a, want[i])
		}
	}
	if o.GetMetadata().GetRevision() != 12 || s.GetRoutingGroup() != "paris" || !s.GetDisabled() ||
		s.GetOnLinkDown() != directoryv1.OnLinkDown_ON_LINK_DOWN_HOLD ||
		s.GetFallback() != directoryv1.Fallback_FALLBACK_LESS_SPECIFIC ||
		s.GetScope() != directoryv1.Scope_SCOPE_ROUTING_GROUP || s.GetTls() != directoryv1.TLSPolicy_TLS_POLICY_REQUIRED ||
		s.GetRestrictions().GetMaxMessageSize() != 10<<20 {
		t.Errorf("decoded %v", o)
	}
	d := s.GetDetection()
	if d.GlitchRetries == nil || d.GetGlitchRetries() != 0 || d.GetGlitchInterval().AsDuration() != 500*time.Millisecond ||
		Detection(d).ProbeInterval != 90*time.Second || Detection(d).IdleProbeInterval != 5*time.Minute || Detection(nil).IdleProbeInterval != 0 {
		t.Errorf("detection %v: 0 retries must differ from none written", d)
	}
}

func TestDecodeLinkStateCarrier(t *testing.T) {
	for text, want := range map[string]directoryv1.LinkStateCarrier{
		"":     directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_UNSPECIFIED,
		"auto": directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_AUTO,
		"grpc": directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_GRPC,
		"smtp": directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_SMTP,
	} {
		spec := "sourceGroup: a, targetGroup: b"
		if text != "" {
			spec += ", linkStateCarrier: " + text
		}
		o := decodeOne(t, "{kind: RoutingGroupConnector, name: a-b, spec: {"+spec+"}}")
		if got := o.GetRoutingGroupConnector().GetLinkStateCarrier(); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
	_, err := DecodeYAML(strings.NewReader("{kind: RoutingGroupConnector, name: a-b, spec: {linkStateCarrier: pigeon}}"), "x.yaml")
	if err == nil || !strings.Contains(err.Error(), "linkStateCarrier: must be one of auto, grpc, smtp") {
		t.Errorf("an unknown carrier: %v", err)
	}
}

func TestDecodeDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"none":               {"", 0},
		"comments only":      {"# nothing\n---\n# nothing\n", 0},
		"marker first":       {"---\nkind: RoutingGroup\nname: a\n", 1},
		"trailing marker":    {"kind: RoutingGroup\nname: a\n---\n", 1},
		"CRLF":               {"kind: RoutingGroup\r\nname: a\r\n---\r\nkind: RoutingGroup\r\nname: b\r\n", 2},
		"marker and comment": {"kind: RoutingGroup\nname: a\n--- # next\nkind: RoutingGroup\nname: b\n", 2},
		"null spec":          {"kind: RoutingGroup\nname: a\nspec:\n", 1},
		"no newline at end":  {"kind: RoutingGroup\nname: a", 1},
		"dashes in text":     {"kind: RoutingGroup\nname: a\nspec:\n  description: |\n    x\n    ---\n    y\n", 1},
	} {
		objs, err := DecodeYAML(strings.NewReader(c.text), "x")
		if err != nil || len(objs) != c.want {
			t.Errorf("%s: %d objects, %v; want %d", name, len(objs), err, c.want)
		}
	}
}

// Each error must lead to the place and to the cure.
func TestDecodeErrors(t *testing.T) {
	const group = "kind: RoutingGroup\nname: a\n"
	for _, c := range []struct{ text, want string }{
		{group + "---\n" + group + "spec: {descripton: x}\n", "org.yaml: document 2: RoutingGroup/a: descripton: there is no such field; there are description"},
		{group + "---\nkind: [\n", "org.yaml: document 2: is not YAML: line 4:"},
		{group + "name: b\n", `already set`},
		{"kind: Group\nname: a\n", "org.yaml: document 1: Group/a: kind: must be one of Organization, RoutingGroup,"},
		{"kind: RoutingGroup\n", "RoutingGroup/: name: is missing"},
		{"kind: RoutingGroup\nname: 12\n", "name: must be text, which YAML reads as 12; put it into quotes"},
		{group + "specs: {}\n", "RoutingGroup/a: specs: there is no such field; a document has kind,"},
		{group + "spec: text\n", "spec: must be a block of fields"},
		{"- a\n", "must have the fields kind, name and spec"},
		{"kind: Server\nname: a\nspec: {drain: medium}\n", "Server/a: drain: must be one of soft, hard"},
		{"kind: Server\nname: a\nspec: {fqdn: no}\n", "Server/a: fqdn: must be text, which YAML reads as false; put it into quotes"},
		{"kind: Organization\nname: a\nspec: {linkState: {keepalive: 5}}\n", "Organization/a: linkState.keepalive: must be a time with its unit"},
		{"kind: Organization\nname: a\nspec: {maxMessageSize: 10 Mio}\n", "maxMessageSize: must be octets"},
		{"kind: Organization\nname: a\nspec: {maxMessageSize: 9999999999GiB}\n", "maxMessageSize: 9999999999GiB: is more than"},
		{"kind: Organization\nname: a\nspec: {maxRecipients: 1.5}\n", "maxRecipients: must be a whole number"},
		{"kind: Organization\nname: a\nspec: {maxRecipients: 99999999999}\n", "maxRecipients: must be a whole number"},
		{"kind: VirtualServer\nname: a\nspec: {bindings: ':25'}\n", "bindings: must be a list"},
		{"kind: VirtualServer\nname: a\nspec: {verifyRecipients: maybe}\n", "verifyRecipients: must be true or false"},
		{"kind: VirtualServer\nname: a\nspec: {retry: 5s}\n", "retry: must be a block of fields: first,"},
		{"kind: SMTPConnector\nname: a\nspec: {addressSpaces: ['SMTP:']}\n", `addressSpaces[0]: must be TYPE:PATTERN;COST`},
		{"kind: Server\nname: a\nspec: {smtpAddress: x, smtp_address: y}\n", "smtp_address: is the same field as smtpAddress"},
		{"kind: Recipient\nname: a\nspec: {mailbox: {}, contact: {}}\n", "mailbox: excludes contact"},
		{"kind: Account\nname: a\nspec: {keys: {salt: '!'}}\n", "keys.salt: must be base64 text"},
	} {
		objs, err := DecodeYAML(strings.NewReader(c.text), "org.yaml")
		if err == nil {
			t.Errorf("%q: gave %v", c.text, objs)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestDecodeReportsAllMistakes(t *testing.T) {
	_, err := DecodeYAML(strings.NewReader("kind: Server\nname: a\nspec: {x: 1, y: 2}\n---\nkind: Z\nname: b\n"), "f")
	if got := len(strings.Split(err.Error(), "\n")); got != 3 {
		t.Errorf("%d lines, want 3:\n%v", got, err)
	}
}

func TestEncodeIsFriendly(t *testing.T) {
	var b bytes.Buffer
	o := decodeOne(t, `{kind: SMTPConnector, name: "yes", spec: {routingGroup: paris, addressSpaces: ["SMTP:*;1"],
  connectedGroups: [{group: oslo, cost: 5}, {}], fallback: LESS_SPECIFIC, restrictions: {maxMessageSize: 1536KiB},
  credentials: {user: "a: b\tc", passwordFile: "Zoë"}, detection: {glitchRetries: 0, probeInterval: 60m}}}`)
	if err := EncodeYAML(&b, []*directoryv1.Object{o}); err != nil {
		t.Fatal(err)
	}
	const want = `kind: SMTPConnector
name: "yes"
spec:
  routingGroup: paris
  addressSpaces:
  - SMTP:*;1
  connectedGroups:
  - group: oslo
    cost: 5
  - {}
  restrictions:
    maxMessageSize: 1536KiB
  detection:
    glitchRetries: 0
    probeInterval: 1h
  fallback: less-specific
  credentials:
    user: "a: b\tc"
    passwordFile: Zoë
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := EncodeJSON(&b, []*directoryv1.Object{o}); err != nil {
		t.Fatal(err)
	}
	var back []struct {
		Kind string
		Spec struct{ AddressSpaces []string }
	}
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back[0].Kind != "SMTPConnector" || back[0].Spec.AddressSpaces[0] != "SMTP:*;1" {
		t.Errorf("JSON %s: %v", b.String(), err)
	}
}
