package draw

import (
	"math"
	"slices"
)

// point is a place in the picture, in pixels; while the layout is sought, in
// units of one edge.
type point struct{ x, y float64 }

func (p point) plus(q point) point        { return point{p.x + q.x, p.y + q.y} }
func (p point) minus(q point) point       { return point{p.x - q.x, p.y - q.y} }
func (p point) times(f float64) point     { return point{p.x * f, p.y * f} }
func (p point) length() float64           { return math.Hypot(p.x, p.y) }
func between(a, b point, f float64) point { return a.plus(b.minus(a).times(f)) }

// Sizes of the search: starts from different circles, and steps from each. With
// more than manyNodes one start has to do; for manyEdges see crowded.
const (
	starts    = 12
	steps     = 200
	manyNodes = 150
	fewSteps  = 40
	manyEdges = 600
)

// arrange gives each node a place, in units of one edge, the middle at zero.
func (c *chart) arrange() []point {
	n := len(c.nodes)
	want := c.distances()
	tries, rounds := starts, steps
	if n > manyNodes {
		tries, rounds = 1, fewSteps
	}
	var best []point
	bestCrossings, bestStress := 0, 0.0
	for try := range tries {
		at := circle(n, try)
		for range rounds {
			majorize(at, want)
		}
		k, s := c.crossings(at), stress(at, want)
		// Mirror images are equally good: a later one must be better, not luckier.
		if best == nil || k < bestCrossings || k == bestCrossings && s < bestStress*0.999 {
			best, bestCrossings, bestStress = at, k, s
		}
	}
	return best
}

// distances are the shortest ways along edges, in either direction. Parts of the
// map that no edge joins are wanted as far apart as the parts are wide, about.
func (c *chart) distances() [][]float64 {
	near := c.neighbours()
	all := make([][]float64, len(c.nodes))
	far := 1.0
	for i := range all {
		all[i] = walk(near, i)
		far = max(far, slices.Max(all[i]))
	}
	for _, row := range all {
		for j := range row {
			if row[j] < 0 {
				row[j] = max(2, far/2+1)
			}
		}
	}
	return all
}

func (c *chart) neighbours() [][]int {
	near := make([][]int, len(c.nodes))
	for i := range c.edges {
		e := &c.edges[i]
		if !slices.Contains(near[e.from], e.to) {
			near[e.from] = append(near[e.from], e.to)
			near[e.to] = append(near[e.to], e.from)
		}
	}
	return near
}

// fewNeighbours fit around a node at the distance of one unit.
const fewNeighbours = 9

// walk gives the distance of each node from one; -1 for what is not reached. An
// edge is longer at a node with many neighbours: they stand on a circle round it.
func walk(near [][]int, from int) []float64 {
	d := make([]float64, len(near))
	for i := range d {
		d[i] = -1
	}
	d[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, to := range near[at] {
			crowd := max(len(near[at]), len(near[to])) - fewNeighbours
			length := 1 + max(0, float64(crowd))/15
			if l := d[at] + length; d[to] < 0 || l < d[to]-1e-9 {
				d[to] = l
				queue = append(queue, to)
			}
		}
	}
	return d
}

// circle puts nodes on a circle, in an order of its own for each number.
func circle(n, number int) []point {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	seed := uint32(number)
	for i := n - 1; i > 0 && number > 0; i-- {
		seed = seed*1664525 + 1013904223 // any fixed sequence will do
		j := int(seed>>8) % (i + 1)
		order[i], order[j] = order[j], order[i]
	}
	at := make([]point, n)
	for i, o := range order {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		at[o] = point{cos * float64(n) / 6, sin * float64(n) / 6}
	}
	return at
}

// majorize moves each node to where the others want it; a distance counts by
// its inverse square. The stress never grows.
func majorize(at []point, want [][]float64) {
	for i := range at {
		var sum point
		weight := 0.0
		for j := range at {
			if j == i {
				continue
			}
			d := want[i][j]
			w := 1 / (d * d)
			away := at[i].minus(at[j])
			if l := away.length(); l > 1e-9 {
				sum = sum.plus(at[j].plus(away.times(d / l)).times(w))
			} else {
				sum = sum.plus(at[j].plus(point{d, 0}).times(w))
			}
			weight += w
		}
		if weight > 0 {
			at[i] = sum.times(1 / weight)
		}
	}
}

func stress(at []point, want [][]float64) float64 {
	s := 0.0
	for i := range at {
		for j := range i {
			d := at[i].minus(at[j]).length()/want[i][j] - 1
			s += d * d
		}
	}
	return s
}

// crossings counts the pairs of straight edges that cross; not for maps where
// nobody would count them.
func (c *chart) crossings(at []point) int {
	if len(c.nodes) > manyNodes {
		return 0
	}
	n := 0
	for i := range c.edges {
		for j := range i {
			a, b := &c.edges[i], &c.edges[j]
			if a.from == b.from || a.from == b.to || a.to == b.from || a.to == b.to {
				continue
			}
			if cross(at[a.from], at[a.to], at[b.from], at[b.to]) {
				n++
			}
		}
	}
	return n
}

func cross(a, b, c, d point) bool {
	return side(a, b, c) != side(a, b, d) && side(c, d, a) != side(c, d, b)
}

// side says whether p is to the left of the line from a to b.
func side(a, b, p point) bool { return (b.x-a.x)*(p.y-a.y)-(b.y-a.y)*(p.x-a.x) > 0 }

// rect is a box by its middle and half its width and height.
type rect struct {
	mid  point
	w, h float64
}

func (r rect) holds(p point) bool {
	return math.Abs(p.x-r.mid.x) < r.w && math.Abs(p.y-r.mid.y) < r.h
}

// overlap is by how much two boxes lie over each other in both directions.
func (r rect) overlap(s rect) (x, y float64) {
	return r.w + s.w - math.Abs(r.mid.x-s.mid.x), r.h + s.h - math.Abs(r.mid.y-s.mid.y)
}

// spread pushes boxes apart until all gaps are kept, each pair along the
// direction that takes less. space gives the gaps between two boxes.
func spread(boxes []rect, space func(i, j int) (x, y float64)) {
	for range max(20, 30_000/(len(boxes)+1)) {
		moved := false
		for i := range boxes {
			for j := range i {
				moved = apart(&boxes[i], &boxes[j], space, i, j) || moved
			}
		}
		if !moved {
			return
		}
	}
}

func apart(a, b *rect, space func(i, j int) (x, y float64), i, j int) bool {
	x, y := a.overlap(*b)
	if x+gapX <= 0 || y+gapY <= 0 {
		return false // far away, whatever lies between them
	}
	wantX, wantY := space(i, j)
	x, y = x+wantX, y+wantY
	if x <= 0 || y <= 0 {
		return false
	}
	var push point
	if x < y {
		push.x = math.Copysign(x/2+1, a.mid.x-b.mid.x)
	} else {
		push.y = math.Copysign(y/2+1, a.mid.y-b.mid.y)
	}
	a.mid, b.mid = a.mid.plus(push), b.mid.minus(push)
	return true
}
