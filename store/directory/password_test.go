package directory

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// The directory holds no password that a server gives to others: only the path of a file,
// so that no output of the directory can show one. What it holds of accounts of its own
// users is said to be written, and is stored as keys.
func TestNoPasswordsOfOthers(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			name := strings.ToLower(f.JSONName())
			secret := strings.Contains(name, "password") || strings.Contains(name, "secret")
			if secret && !strings.HasSuffix(name, "file") && m.Name() != "Account" {
				t.Errorf("%s.%s is a secret in the directory", m.Name(), f.Name())
			}
			if f.Message() != nil {
				walk(f.Message())
			}
		}
	}
	walk((&directoryv1.Object{}).ProtoReflect().Descriptor())
	if !seen["postroad.directory.v1.OutboundCredentials"] {
		t.Error("the credentials of sending were not looked at")
	}
}
