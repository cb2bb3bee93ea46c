package directory

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const overlaid = `
{kind: Organization, name: test, spec: {}}
---
{kind: RoutingGroup, name: paris, spec: {}}
---
{kind: RoutingGroup, name: oslo, spec: {}}
---
{kind: Server, name: paris-1, spec: {routingGroup: paris, fqdn: paris-1.test}}
---
{kind: Server, name: oslo-1, spec: {routingGroup: oslo, fqdn: oslo-1.test}}
---
{kind: RoutingGroupConnector, name: paris-oslo, spec: {sourceGroup: paris, targetGroup: oslo, cost: 10}}
`

func decodeAll(t *testing.T, text string) []*directoryv1.Object {
	t.Helper()
	objs, err := DecodeYAML(strings.NewReader(text), "test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func TestOverlay(t *testing.T) {
	before, err := Overlay(nil, decodeAll(t, overlaid))
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]*directoryv1.Object, len(before))
	for i, o := range before {
		kept[i] = proto.CloneOf(o)
	}
	after, err := Overlay(before, decodeAll(t, `
{kind: RoutingGroupConnector, name: paris-oslo, spec: {sourceGroup: paris, targetGroup: oslo, cost: 70}}
---
{kind: RoutingGroupConnector, name: oslo-paris, spec: {sourceGroup: oslo, targetGroup: paris}}
---
{kind: Recipient, name: someone, spec: {addresses: [a@example.test], mailbox: {homeServer: oslo-1}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := NewConfiguration(7, after)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := NewConfiguration(6, before)
	was, _ := old.RoutingGroupConnector("paris-oslo")
	is, _ := conf.RoutingGroupConnector("paris-oslo")
	if is.GUID != was.GUID || is.Spec.GetCost() != 70 {
		t.Errorf("paris-oslo: GUID kept %t, cost %d", is.GUID == was.GUID, is.Spec.GetCost())
	}
	if _, ok := conf.RoutingGroupConnector("oslo-paris"); !ok || len(after) != len(before)+1 {
		t.Errorf("%d objects after %d, want the new connector only", len(after), len(before))
	}
	for i, o := range before {
		if !proto.Equal(o, kept[i]) {
			t.Errorf("%s was changed", KeyOf(o))
		}
	}
}

func TestOverlayRefuses(t *testing.T) {
	before, err := Overlay(nil, decodeAll(t, overlaid))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Overlay(before, decodeAll(t, `{kind: RoutingGroupConnector, name: wild, spec: {sourceGroup: paris, targetGroup: rome}}`))
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "rome") {
		t.Errorf("a connector to a missing group: %v", err)
	}
}
