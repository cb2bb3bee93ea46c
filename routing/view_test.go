package routing

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestSeenBy: the table that is derived for a server decides, with its reasons,
// as the one that is built for it.
func TestSeenBy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		m := drawMessage(t, &top)
		nobody := top
		nobody.Self = GUID{}
		base := Build(nobody)
		for _, s := range top.Servers {
			top.Self = s.GUID
			built, derived := Build(top), base.seenBy(s.GUID)
			for _, to := range top.Servers {
				if a, b := built.ExplainServer(to.GUID, m), derived.ExplainServer(to.GUID, m); !reflect.DeepEqual(a, b) {
					t.Fatalf("%s to %s: built for it %+v, derived %+v", s.Name, to.Name, a, b)
				}
			}
			for _, address := range []string{"a", "c.b.a", "z"} {
				if a, b := built.ExplainAddress("SMTP", address, m), derived.ExplainAddress("SMTP", address, m); !reflect.DeepEqual(a, b) {
					t.Fatalf("%s to %s: built for it %+v, derived %+v", s.Name, address, a, b)
				}
			}
		}
	})
}
