package routing

import "testing"

// A link that flaps is the last resort: not used while another bridgehead or
// another way is well, and used when nothing else is left.
func TestDampedLinkIsTheLastResort(t *testing.T) {
	type heads struct{ own, other Bridgehead }
	up, down, damped := Bridgehead{Up: true}, Bridgehead{Reason: "refused"}, Bridgehead{Reason: "refused", Damped: true}
	for _, c := range []struct {
		name  string
		cheap heads
		dear  bool // there is a dear way beside the cheap one
		kind  Kind
		via   string
		next  string
	}{
		{"nothing flaps", heads{up, up}, true, ToNode, "cheap", "far-1"},
		{"own link flaps, the other's is well", heads{damped, up}, true, ToNode, "", "here-2"},
		{"all links flap, another way is left", heads{damped, damped}, true, ToNode, "dear", "far-1"},
		{"all links flap and nothing else is left", heads{damped, damped}, false, ToNode, "cheap", "far-1"},
		{"own link flaps, the other's is down", heads{damped, down}, false, ToNode, "cheap", "far-1"},
		{"down is down", heads{down, down}, false, Unreachable, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cheap.own.Server, c.cheap.other.Server = guid("here-1"), guid("here-2")
			top := Topology{
				Self:   guid("here-1"),
				Groups: []Group{{guid("here"), "here"}, {guid("far"), "far"}},
				Servers: []Server{
					{GUID: guid("here-1"), Name: "here-1", Group: guid("here"), Up: true},
					{GUID: guid("here-2"), Name: "here-2", Group: guid("here"), Up: true},
					{GUID: guid("far-1"), Name: "far-1", Group: guid("far"), Up: true},
				},
				Connectors: []Connector{{
					GUID: guid("cheap"), Name: "cheap", Group: guid("here"), Targets: []Edge{{guid("far"), 1}},
					Bridgeheads: []Bridgehead{c.cheap.own, c.cheap.other}, Remote: []GUID{guid("far-1")},
				}},
			}
			if c.dear {
				top.Connectors = append(top.Connectors, Connector{
					GUID: guid("dear"), Name: "dear", Group: guid("here"), Targets: []Edge{{guid("far"), 90}},
					Bridgeheads: []Bridgehead{{Server: guid("here-1"), Up: true}}, Remote: []GUID{guid("far-1")},
				})
			}
			d := Build(top).ToServer(guid("far-1"), nil)
			var via, next GUID
			if c.via != "" {
				via = guid(c.via)
			}
			if c.next != "" {
				next = guid(c.next)
			}
			if d.Kind != c.kind || d.Via != via || d.Next != next {
				t.Errorf("%s to %x via %x (%s), want %s to %s via %s", d.Kind, d.Next, d.Via, d.Reason, c.kind, c.next, c.via)
			}
		})
	}
}
