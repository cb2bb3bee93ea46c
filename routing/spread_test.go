package routing

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// fan is a way with several equals in one place: bridgeheads on this side or the
// other, or connectors.
func fan(kind string, self int, weights []int, down []bool) Topology {
	top := Topology{
		Self:    guid(fmt.Sprintf("here-%d", self)),
		Groups:  []Group{{guid("here"), "here"}, {guid("far"), "far"}},
		Servers: []Server{{GUID: guid(fmt.Sprintf("here-%d", self)), Group: guid("here"), Up: true}, {GUID: guid("home"), Group: guid("far"), Up: true}},
	}
	add := func(name, group string, up bool) GUID {
		top.Servers = append(top.Servers, Server{GUID: guid(name), Name: name, Group: guid(group), Up: up})
		return guid(name)
	}
	one := Connector{
		GUID: guid("connector"), Group: guid("here"), Targets: []Edge{{guid("far"), 1}}, Spread: PerMessage,
		Remote: []GUID{guid("home")}, Weights: map[GUID]int{},
	}
	for i, w := range weights {
		name := fmt.Sprintf("%s-%d", kind, i)
		switch kind {
		case "local":
			g := add(name, "here", !down[i])
			one.Bridgeheads = append(one.Bridgeheads, Bridgehead{Server: g, Up: true})
			one.Weights[g] = w
		case "remote":
			if i == 0 {
				one.Remote, one.Bridgeheads = nil, []Bridgehead{{Server: top.Self, Up: true}}
			}
			g := add(name, "far", !down[i])
			one.Remote = append(one.Remote, g)
			one.Weights[g] = w
		case "connector":
			c := one
			c.GUID, c.Name, c.Weight = guid(name), name, w
			c.Bridgeheads = []Bridgehead{{Server: top.Self, Up: !down[i]}}
			top.Connectors = append(top.Connectors, c)
		}
	}
	if kind != "connector" {
		top.Connectors = append(top.Connectors, one)
	}
	return top
}

// taken is which of the equals a message takes.
func taken(kind string, d Decision) GUID {
	if kind == "connector" {
		return d.Via
	}
	return d.Next
}

// Of a million pairs of server and message each equal gets what its weight says,
// and every single server's share is near it.
func TestWeightsAreRespected(t *testing.T) {
	const servers = 400
	weights := []int{1, 2, 5, 0, 1}
	const sum = 10 // 0 counts as 1
	none := make([]bool, len(weights))
	for _, kind := range []string{"local", "remote", "connector"} {
		total := make([]int, len(weights))
		for s := range servers {
			table := Build(fan(kind, s, weights, none))
			for b := 1; b <= Buckets; b++ {
				d := table.ToServer(guid("home"), &Message{Bucket: uint8(b)})
				for i := range weights {
					if taken(kind, d) == guid(fmt.Sprintf("%s-%d", kind, i)) {
						total[i]++
						break
					}
				}
			}
		}
		for i, w := range weights {
			const n = servers * Buckets
			p := float64(max(w, 1)) / sum
			want, sd := n*p, math.Sqrt(n*p*(1-p))
			if got := float64(total[i]); math.Abs(got-want) > 4*sd {
				t.Errorf("%s %d of weight %d has %v of %d messages, want %v within %v", kind, i, w, got, n, want, 4*sd)
			}
		}
	}
}

// Losing one of several moves only its share.
func TestLosingOneMovesItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"local", "remote", "connector"}).Draw(t, "kind")
		weights := rapid.SliceOfN(rapid.IntRange(0, 5), 2, 6).Draw(t, "weights")
		self := rapid.IntRange(0, 1000).Draw(t, "self")
		down := make([]bool, len(weights))
		before := Build(fan(kind, self, weights, down))
		lost := rapid.IntRange(0, len(weights)-1).Draw(t, "lost")
		down[lost] = true
		after := Build(fan(kind, self, weights, down))
		for b := range Buckets + 1 {
			m := &Message{Bucket: uint8(b)}
			x, y := taken(kind, before.ToServer(guid("home"), m)), taken(kind, after.ToServer(guid("home"), m))
			if x != guid(fmt.Sprintf("%s-%d", kind, lost)) && x != y {
				t.Fatalf("bucket %d went over %x and now goes over %x, though %x was lost", b, x, y, lost)
			}
			if y == guid(fmt.Sprintf("%s-%d", kind, lost)) {
				t.Fatalf("bucket %d still goes over the lost one", b)
			}
		}
	})
}

// A decision that could be another one for another bucket says so: by that a
// queue knows that it has to tell buckets apart.
func TestSpreadIsAnnounced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		m := drawMessage(t, &top)
		dest := rapid.SampledFrom(top.Servers).Draw(t, "destination").GUID
		table := Build(top)
		for what, ask := range map[string]func(*Message) Decision{
			"server":  func(m *Message) Decision { return table.ToServer(dest, m) },
			"address": func(m *Message) Decision { return table.ToAddress("SMTP", "c.b.a", m) },
		} {
			m.Bucket = 0
			plain := ask(m)
			for b := 1; b <= Buckets; b++ {
				m.Bucket = uint8(b)
				if d := ask(m); !plain.Spread && plain.differs(&d) {
					t.Fatalf("%s: bucket %d goes to %x via %x, others to %x via %x, and nothing says that it spreads", what, b, d.Next, d.Via, plain.Next, plain.Via)
				}
			}
			if plain.Spread && !table.Spreads() {
				t.Fatalf("%s spreads, but the table does not", what)
			}
		}
	})
}

// Without the setting nothing depends on the message.
func TestPerServerByDefault(t *testing.T) {
	top := fan("local", 1, []int{1, 1, 1}, make([]bool, 3))
	top.Connectors[0].Spread = PerServer
	table := Build(top)
	first := table.ToServer(guid("home"), nil)
	if first.Spread || table.Spreads() {
		t.Error("it spreads")
	}
	for b := range uint8(Buckets + 1) {
		if d := table.ToServer(guid("home"), &Message{Bucket: b}); d.Next != first.Next {
			t.Errorf("bucket %d goes elsewhere", b)
		}
	}
}

// Identities that differ little fall into all buckets alike.
func TestBuckets(t *testing.T) {
	const n = 64000
	var count [Buckets + 1]int
	for i := range n {
		count[Bucket([]byte{1, 2, 3, byte(i >> 16), byte(i >> 8), byte(i)})]++
	}
	want := float64(n) / Buckets
	for b, got := range count {
		if b == 0 && got != 0 || b > 0 && math.Abs(float64(got)-want) > 5*math.Sqrt(want) {
			t.Errorf("bucket %d has %d of %d", b, got, n)
		}
	}
}

// Nodes of all versions choose alike: these numbers are for ever.
func TestHashesNeverChange(t *testing.T) {
	a, b := guid("a"), guid("b")
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"weight", Weight(a, b), 0x8d4395842c9b1025},
		{"share of 3", Score(a, b, 3), 0xb3b992f097e7e2d2},
		{"for bucket 5", Weight(chooser(a, PerMessage, 5), b), 0x72529dc8025fdd8f},
		{"bucket", uint64(Bucket(a[:])), 0x35},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, c.got, c.want)
		}
	}
}
