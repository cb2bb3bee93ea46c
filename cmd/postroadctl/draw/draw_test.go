package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

var update = flag.Bool("update", false, "write the golden files")

var renderers = map[string]func(io.Writer, *topologyv1.ShowResponse) error{"txt": Text, "dot": Dot, "mmd": Mermaid, "svg": SVG}

func group(name string, servers ...string) *topologyv1.Group {
	g := &topologyv1.Group{Name: name}
	for _, s := range servers {
		server, state, ok := strings.Cut(s, " ")
		if !ok {
			state = "up"
		}
		g.Servers = append(g.Servers, &topologyv1.Server{Name: server, State: state})
	}
	return g
}

func link(from, to string, cost int32) *topologyv1.Connector {
	return &topologyv1.Connector{
		Name: from + "-" + to, Kind: "RoutingGroupConnector", SourceGroup: from, TargetGroup: to, Cost: cost, Up: true,
		Bridgeheads: []*topologyv1.Bridgehead{{Server: from + "-1", Up: true}}, RemoteBridgeheads: []string{to + "-1"},
	}
}

func both(a, b string, cost int32) []*topologyv1.Connector {
	return []*topologyv1.Connector{link(a, b, cost), link(b, a, cost)}
}

func exit(name, from string, spaces ...string) *topologyv1.Connector {
	return &topologyv1.Connector{
		Name: name, Kind: "SMTPConnector", SourceGroup: from, Up: true, AddressSpaces: spaces,
		Bridgeheads: []*topologyv1.Bridgehead{{Server: from + "-1", Up: true}}, SmartHosts: []string{"relay.example:25"},
	}
}

// threeSites has one of everything: a link that is down, a disabled one, a
// queue, two links side by side, servers that are not up, special characters.
func threeSites() *topologyv1.ShowResponse {
	m := &topologyv1.ShowResponse{
		Node: "paris-1", TableVersion: 12, DirectoryRevision: 34,
		Groups: []*topologyv1.Group{
			group("paris", "paris-1", "paris-2"), group("berlin", "berlin-1 down", "berlin-2"), group("oslo", "oslo-1 suspect"), group(`R&D "lab" <x>`, "lab-1 unknown"),
		},
	}
	m.Groups[0].Servers[1].Drain = "soft"
	m.Connectors = append(m.Connectors, both("paris", "berlin", 10)...)
	m.Connectors = append(m.Connectors, both("berlin", "oslo", 10)...)
	m.Connectors = append(m.Connectors, both("paris", "oslo", 30)...)
	down := m.Connectors[4]
	down.Up, down.Reason, down.Queued = false, "down: paris-1: connection refused", 17
	down.Bridgeheads[0].Up, down.Bridgeheads[0].Reason = false, "connection refused"
	m.Connectors[2].Drain, m.Connectors[2].Messages, m.Connectors[2].Bytes = "soft", 1200, 12<<20
	second := link("paris", "berlin", 20)
	second.Name, second.Disabled, second.Up = "paris-berlin-2", true, false
	m.Connectors = append(m.Connectors, second, exit("internet", "paris", "SMTP:*;1"),
		exit("partners", "oslo", "SMTP:*.a.example;1", "SMTP:*.b.example;1", "SMTP:*.c.example;1", "SMTP:*.d.example;1", "X400:c=no;5"),
		link("oslo", "nowhere", 1))
	return m
}

// thirtyGroups is four hubs that all know each other, sites around them, some of
// which have a second way, and exits.
func thirtyGroups() *topologyv1.ShowResponse {
	r := rand.New(rand.NewPCG(3, 4))
	m := &topologyv1.ShowResponse{Node: "hub0-1", TableVersion: 871, DirectoryRevision: 5012}
	var hubs, sites []string
	for h := range 4 {
		name := fmt.Sprintf("hub%d", h)
		hubs = append(hubs, name)
		m.Groups = append(m.Groups, group(name, name+"-1", name+"-2", name+"-3"))
		for g := range h {
			m.Connectors = append(m.Connectors, both(hubs[g], name, int32(5+r.IntN(10)))...)
		}
		m.Connectors = append(m.Connectors, exit("out-"+name, name, "SMTP:*;10"))
	}
	for s := range 26 {
		name := fmt.Sprintf("site%02d", s)
		servers := []string{name + "-1", name + "-2"}[:1+r.IntN(2)]
		m.Groups = append(m.Groups, group(name, servers...))
		m.Connectors = append(m.Connectors, both(hubs[s%4], name, int32(10+r.IntN(40)))...)
		if s%5 == 0 && s > 0 {
			m.Connectors = append(m.Connectors, both(sites[r.IntN(len(sites))], name, 60)...)
		}
		sites = append(sites, name)
	}
	for i := 0; i < len(m.Connectors); i += 11 {
		m.Connectors[i].Up, m.Connectors[i].Queued = false, int64(i)
	}
	return m
}

func TestGolden(t *testing.T) {
	for ext, render := range renderers {
		t.Run(ext, func(t *testing.T) { golden(t, "three-sites."+ext, render, threeSites()) })
	}
	t.Run("thirty groups", func(t *testing.T) { golden(t, "thirty-groups.svg", SVG, thirtyGroups()) })
}

func golden(t *testing.T, name string, render func(io.Writer, *topologyv1.ShowResponse) error, m *topologyv1.ShowResponse) {
	t.Helper()
	var got bytes.Buffer
	if err := render(&got, m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the picture changed; look at it, and -update if it should\n%s", got.String())
	}
}

// TestEmpty: a node without a catalog draws nothing, and does not fail.
func TestEmpty(t *testing.T) {
	for ext, render := range renderers {
		var b bytes.Buffer
		if err := render(&b, &topologyv1.ShowResponse{Node: "alone"}); err != nil || b.Len() == 0 {
			t.Errorf("%s: %d octets, %v", ext, b.Len(), err)
		}
	}
}

func TestSVGIsXML(t *testing.T) {
	for _, m := range []*topologyv1.ShowResponse{threeSites(), thirtyGroups(), {}} {
		var b bytes.Buffer
		if err := SVG(&b, m); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(&b); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// star is one hub and twenty-nine branches.
func star() *topologyv1.ShowResponse {
	m := &topologyv1.ShowResponse{Node: "hub-1", Groups: []*topologyv1.Group{group("hub", "hub-1", "hub-2")}}
	for i := range 29 {
		name := fmt.Sprintf("branch%02d", i)
		m.Groups = append(m.Groups, group(name, name+"-1"))
		m.Connectors = append(m.Connectors, both("hub", name, 10)...)
	}
	m.Connectors = append(m.Connectors, exit("internet", "hub", "SMTP:*;1"))
	m.Connectors[7].Up = false
	return m
}

// TestReadable: with thirty groups no box lies over another, every arrow is
// drawn and runs through no foreign box, and no label hides anything.
func TestReadable(t *testing.T) {
	for name, m := range map[string]*topologyv1.ShowResponse{"hubs and sites": thirtyGroups(), "star": star(), "three sites": threeSites()} {
		t.Run(name, func(t *testing.T) {
			p := newPicture(newChart(m))
			readableBoxes(t, p)
			readableArrows(t, p)
		})
	}
}

func readableBoxes(t *testing.T, p *picture) {
	t.Helper()
	for i, a := range p.boxes {
		for _, b := range p.boxes[:i] {
			if x, y := a.overlap(b); x > 0 && y > 0 {
				t.Errorf("box %d lies over another", i)
			}
		}
		if a.mid.x-a.w < 0 || a.mid.y-a.h < header || a.mid.x+a.w > p.width || a.mid.y+a.h > p.height-footer {
			t.Errorf("box %d is out of the frame", i)
		}
	}
}

func readableArrows(t *testing.T, p *picture) {
	t.Helper()
	for i := range p.edges {
		name := p.edges[i].connector.GetName()
		if !p.drawn[i] {
			t.Errorf("no arrow for %s", name)
		}
		if p.arrows[i].hits(p.boxes, p.edges[i].from, p.edges[i].to, 0) > 0 {
			t.Errorf("the arrow of %s runs through a box", name)
		}
		for _, list := range [][]rect{p.boxes, p.labels[:i]} {
			for _, b := range list {
				if x, y := p.labels[i].overlap(b); p.labels[i].w > 0 && b.w > 0 && x > 0 && y > 0 {
					t.Errorf("the label of %s hides %.0f by %.0f pixels", name, x, y)
				}
			}
		}
	}
}

// TestBothWaysAreOneLine: two directions that say the same share a line and a label;
// those of which one is down, dearer, fuller or doubled do not.
func TestBothWaysAreOneLine(t *testing.T) {
	pair := func(change func(a, b *topologyv1.Connector), more ...*topologyv1.Connector) *topologyv1.ShowResponse {
		links := both("paris", "oslo", 10)
		change(links[0], links[1])
		return &topologyv1.ShowResponse{
			Groups:     []*topologyv1.Group{group("paris", "paris-1"), group("oslo", "oslo-1")},
			Connectors: append(links, more...),
		}
	}
	none := func(_, _ *topologyv1.Connector) {}
	second := link("paris", "oslo", 10)
	second.Name = "second"
	for name, k := range map[string]struct {
		m      *topologyv1.ShowResponse
		labels int
	}{
		"alike":     {pair(none), 1},
		"both down": {pair(func(a, b *topologyv1.Connector) { a.Up, b.Up = false, false }), 1},
		"one down":  {pair(func(a, _ *topologyv1.Connector) { a.Up = false }), 2},
		"dearer":    {pair(func(a, _ *topologyv1.Connector) { a.Cost = 11 }), 2},
		"fuller":    {pair(func(a, _ *topologyv1.Connector) { a.Queued = 1 }), 2},
		"doubled":   {pair(none, second), 3},
		"an exit":   {pair(none, exit("internet", "oslo", "SMTP:*")), 1},
	} {
		p := newPicture(newChart(k.m))
		labels := 0
		for i := range p.edges {
			if !p.drawn[i] {
				t.Errorf("%s: no arrow for %s", name, p.edges[i].connector.GetName())
			}
			if p.labels[i].w > 0 {
				labels++
			}
		}
		if labels != k.labels {
			t.Errorf("%s: %d labels, want %d", name, labels, k.labels)
		}
		var b bytes.Buffer
		if err := SVG(&b, k.m); err != nil {
			t.Fatal(err)
		}
		for _, c := range k.m.GetConnectors() { // whoever points at it finds each of them
			if !strings.Contains(b.String(), c.GetKind()+" "+c.GetName()) {
				t.Errorf("%s: %s is not in the picture", name, c.GetName())
			}
		}
	}
}

// TestLarge: a large organisation is drawn in seconds, not minutes; nobody expects
// to read it at a glance.
func TestLarge(t *testing.T) {
	m := &topologyv1.ShowResponse{Node: "g0-1"}
	r := rand.New(rand.NewPCG(5, 6))
	for g := range 400 {
		name := fmt.Sprintf("g%d", g)
		m.Groups = append(m.Groups, group(name, name+"-1"))
		for range 5 {
			m.Connectors = append(m.Connectors, both(fmt.Sprintf("g%d", r.IntN(g+1)), name, 10)...)
		}
	}
	start := time.Now()
	if err := SVG(io.Discard, m); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("drawn in %v", took)
	}
}

// TestSameAgain: equal maps give equal pictures.
func TestSameAgain(t *testing.T) {
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if err := SVG(w, thirtyGroups()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two pictures of one map differ")
	}
}

func BenchmarkSVG30(b *testing.B) {
	m := thirtyGroups()
	for b.Loop() {
		if err := SVG(io.Discard, m); err != nil {
			b.Fatal(err)
		}
	}
}
