package directory

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// withGUIDs gives each object a GUID that depends on its place only.
func withGUIDs(objs []*directoryv1.Object) []*directoryv1.Object {
	for i, o := range objs {
		o.Metadata.Guid = fmt.Sprintf("00000000-0000-4000-8000-%012x", i+1)
	}
	return objs
}

// requireEqual compares objects but for metadata that the directory adds.
func requireEqual(t testing.TB, want, got []*directoryv1.Object) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d objects, want %d", len(got), len(want))
	}
	for i := range want {
		if !proto.Equal(want[i], got[i]) {
			t.Errorf("object %d:\n got %s\nwant %s", i, prototext.Format(got[i]), prototext.Format(want[i]))
		}
	}
}

// mailbox makes a recipient with a mailbox.
func mailbox(name, home string, addresses ...string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: KindRecipient, Name: name},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
			Addresses: addresses,
			Type:      &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: home}},
		}},
	}
}

// group makes a distribution group.
func group(name string, members ...string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: KindRecipient, Name: name},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
			Addresses: []string{name + "@example.test"},
			Type:      &directoryv1.Recipient_Group{Group: &directoryv1.DistributionGroup{Members: members}},
		}},
	}
}
