// Package bench measures routing against gonum's Dijkstra. It is a module of its
// own, so that the product does not depend on gonum:
//
//	cd routing/bench && go test -bench .
package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"

	"github.com/postroad/postroad/routing"
)

// Size of the largest organisation that the design speaks of.
const (
	groups     = 1000
	connectors = 10000
)

func id(kind byte, n int) routing.GUID { return routing.GUID{kind, byte(n >> 8), byte(n), 1} }

// maps makes the same random map for both.
func maps() (routing.Topology, *simple.WeightedDirectedGraph) {
	r := rand.New(rand.NewPCG(1, 2))
	top := routing.Topology{Version: 1, Self: id(2, 0)}
	g := simple.NewWeightedDirectedGraph(0, math.Inf(1))
	for n := range groups {
		top.Groups = append(top.Groups, routing.Group{GUID: id(1, n), Name: fmt.Sprintf("g%d", n)})
		top.Servers = append(top.Servers, routing.Server{GUID: id(2, n), Name: fmt.Sprintf("s%d", n), Group: id(1, n), Up: true})
		g.AddNode(simple.Node(n))
	}
	for i := range connectors {
		from, to := i%groups, r.IntN(groups)
		if i < groups {
			to = (from + 1) % groups // a ring keeps the map in one piece
		}
		cost := 1 + r.IntN(100)
		top.Connectors = append(top.Connectors, routing.Connector{
			GUID: id(3, i), Name: fmt.Sprintf("c%d", i), Group: id(1, from),
			Targets:     []routing.Edge{{Group: id(1, to), Cost: cost}},
			Bridgeheads: []routing.Bridgehead{{Server: id(2, from), Up: true}}, Remote: []routing.GUID{id(2, to)},
		})
		if from == to {
			continue
		}
		if w, ok := g.Weight(int64(from), int64(to)); !ok || w > float64(cost) {
			g.SetWeightedEdge(g.NewWeightedEdge(simple.Node(from), simple.Node(to), float64(cost)))
		}
	}
	return top, g
}

// TestSameCosts: a ratio of times means something only for the same answers.
func TestSameCosts(t *testing.T) {
	top, g := maps()
	table := routing.Build(top)
	shortest := path.DijkstraFrom(simple.Node(0), g)
	for n := 1; n < groups; n++ {
		if got, want := table.ToServer(id(2, n), nil).Cost, shortest.WeightTo(int64(n)); float64(got) != want {
			t.Fatalf("to group %d: %d, gonum says %v", n, got, want)
		}
	}
}

// BenchmarkTable builds a whole table: connectors judged, bridgeheads ranked,
// address spaces indexed, paths found.
func BenchmarkTable(b *testing.B) {
	top, _ := maps()
	for b.Loop() {
		routing.Build(top)
	}
}

// BenchmarkGonum finds the paths alone, on a graph that is ready.
func BenchmarkGonum(b *testing.B) {
	_, g := maps()
	for b.Loop() {
		path.DijkstraFrom(simple.Node(0), g)
	}
}

// BenchmarkRatio reports how many tables are built in the time of one of gonum's
// searches, measured in turns so that both see the same machine.
func BenchmarkRatio(b *testing.B) {
	top, g := maps()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		routing.Build(top)
		built := time.Now()
		path.DijkstraFrom(simple.Node(0), g)
		ours, theirs = ours+built.Sub(start), theirs+time.Since(built)
	}
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "gonum/table")
}
