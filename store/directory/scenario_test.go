package directory

import (
	"bytes"
	"os"
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const threeSites = "../../deploy/scenarios/three-sites.yaml"

func loadThreeSites(t testing.TB) []*directoryv1.Object {
	t.Helper()
	f, err := os.Open(threeSites)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	objs, err := DecodeYAML(f, "three-sites.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// The first file a newcomer reads must be right, without even a warning, and
// must survive being read back from the directory.
func TestThreeSites(t *testing.T) {
	objs := loadThreeSites(t)
	if err := Invalid(Validate(objs)); err != nil {
		t.Fatal(err)
	}
	for _, w := range Warnings(objs) {
		t.Errorf("warning: %v", w)
	}
	count := map[string]int{}
	for _, o := range objs {
		count[KindOf(o)]++
	}
	want := map[string]int{
		KindOrganization: 1, KindRecipientPolicy: 1, KindRoutingGroup: 3, KindServer: 5, KindVirtualServer: 5,
		KindRoutingGroupConnector: 6, KindSMTPConnector: 1, KindRecipient: 9, KindAccount: 1,
	}
	for kind, n := range want {
		if count[kind] != n {
			t.Errorf("%d objects of kind %s, want %d", count[kind], kind, n)
		}
	}
	var text bytes.Buffer
	if err := EncodeYAML(&text, objs); err != nil {
		t.Fatal(err)
	}
	again, err := DecodeYAML(strings.NewReader(text.String()), "again")
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	requireEqual(t, objs, again)
}

func TestConfigurationOfThreeSites(t *testing.T) {
	objs := withGUIDs(loadThreeSites(t))
	c, err := NewConfiguration(7, objs)
	if err != nil {
		t.Fatal(err)
	}
	if c.Revision() != 7 || c.Organization().Name != "example" || len(c.Servers()) != 5 || len(c.Groups()) != 3 {
		t.Errorf("revision %d, organisation %q, %d servers, %d groups", c.Revision(), c.Organization().Name, len(c.Servers()), len(c.Groups()))
	}
	s, ok := c.Server("berlin-2")
	if !ok || SMTPAddress(s.Spec) != "127.0.0.1:2504" {
		t.Fatalf("berlin-2: %v %v", s, ok)
	}
	if same, ok := c.ServerByGUID(s.GUID); !ok || same.Name != s.Name {
		t.Errorf("by GUID: %v %v", same, ok)
	}
	if vs := c.VirtualServersOf("berlin-2"); len(vs) != 1 || vs[0].Name != "berlin-2-smtp" {
		t.Errorf("virtual servers of berlin-2: %v", vs)
	}
	if ours, shared := c.Domain("Example.TEST."); !ours || shared {
		t.Errorf("example.test: ours %v, shared %v", ours, shared)
	}
	if ours, _ := c.Domain("paris-1.example.test"); ours {
		t.Error("a server's name is taken for a domain of ours")
	}
	if a, ok := c.Account("Alice"); !ok || a.Name != "alice" {
		t.Errorf("account Alice: %v %v", a, ok)
	}
	rgc, _ := c.RoutingGroupConnector("paris-oslo")
	if name, ok := c.ConnectorName(rgc.GUID); !ok || name != "paris-oslo" {
		t.Errorf("connector: %q %v", name, ok)
	}
}

func TestEmptyConfigurationAnswers(t *testing.T) {
	var c Configuration
	if c.HasOrganization() || c.Organization().Spec == nil || c.Revision() != 0 {
		t.Error("the zero configuration has an organisation or no spec")
	}
	if _, ok := c.Server("x"); ok {
		t.Error("found a server")
	}
	if _, ok := c.Account("x"); ok {
		t.Error("found an account")
	}
	if ours, _ := c.Domain("x"); ours {
		t.Error("owns a domain")
	}
	if l := LinkState(c.Organization().Spec); l.Keepalive <= 0 {
		t.Errorf("no default timings: %+v", l)
	}
}
