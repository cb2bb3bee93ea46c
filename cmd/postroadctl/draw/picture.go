package draw

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Measures of the picture, in pixels.
const (
	fontSize  = 13
	charWidth = 7.4 // of one letter, on the safe side for any sans-serif font
	lineSkip  = 18
	labelSkip = 15
	margin    = 12 // within boxes, and between arrows and foreign boxes
	gap       = 44 // between boxes
	gapX      = 96 // between boxes that an arrow joins: it has a label
	gapY      = 64
	unitX     = 240
	unitY     = 175
	grid      = 10
	border    = 30 // around everything
	header    = 50 // for the title
	footer    = 34 // for the legend
)

// A label stands up to labelReach from the middle of its arrow, as a part of the
// length, at one of labelSteps places on each side.
const (
	labelReach = 0.4
	labelSteps = 16
)

// serversListed bounds the servers that a group's box shows.
const serversListed = 6

// picture is a chart with a place for everything.
type picture struct {
	*chart
	boxes         []rect
	arrows        []curve
	drawn         []bool // arrows for which there was room
	pair          []int  // by edge; the one back if one line is enough for both, else -1
	labels        []rect // by edge; zero width: none
	width, height float64
}

func newPicture(c *chart) *picture {
	p := &picture{chart: c, boxes: make([]rect, len(c.nodes))}
	at := c.arrange()
	for i := range c.nodes {
		p.boxes[i] = c.nodes[i].size()
		p.boxes[i].mid = point{at[i].x * unitX, at[i].y * unitY}
	}
	spread(p.boxes, p.space())
	p.place()
	p.join()
	p.connect()
	p.caption()
	p.fit()
	return p
}

func (n *node) size() rect {
	lines, longest := 0, 0
	add := func(s string) {
		lines++
		longest = max(longest, utf8.RuneCountInString(s))
	}
	if n.group == nil {
		for _, l := range n.lines() {
			add(l)
		}
	} else {
		add(n.group.GetName() + " ")
		for _, l := range n.serverLines() {
			add("● " + l.text)
		}
	}
	return rect{
		w: math.Ceil((float64(longest)*charWidth + 2*margin) / 2),
		h: math.Ceil((float64(lines)*lineSkip + margin) / 2),
	}
}

// serverLine is one line in a group's box.
type serverLine struct{ text, state string }

func (n *node) serverLines() []serverLine {
	var out []serverLine
	servers := n.group.GetServers()
	down := 0
	for i, s := range servers {
		if len(servers) > serversListed && i >= serversListed-1 {
			if s.GetState() != "up" {
				down++
			}
			continue
		}
		out = append(out, serverLine{serverText(s), s.GetState()})
	}
	if more := len(servers) - len(out); more > 0 {
		l := serverLine{text: plural(more, "more server"), state: "up"}
		if down > 0 {
			l.text, l.state = l.text+", "+strconv.Itoa(down)+" not up", "down"
		}
		out = append(out, l)
	}
	return out
}

// space gives the gaps to keep between boxes.
func (p *picture) space() func(i, j int) (x, y float64) {
	joined := make(map[[2]int]bool)
	for i := range p.edges {
		e := &p.edges[i]
		joined[[2]int{e.from, e.to}], joined[[2]int{e.to, e.from}] = true, true
	}
	return func(i, j int) (x, y float64) {
		if joined[[2]int{i, j}] {
			return gapX, gapY
		}
		return gap, gap
	}
}

// place moves everything to the grid.
func (p *picture) place() {
	for i := range p.boxes {
		m := &p.boxes[i].mid
		m.x, m.y = math.Round(m.x/grid)*grid, math.Round(m.y/grid)*grid
	}
}

func (p *picture) connect() {
	p.arrows, p.drawn = make([]curve, len(p.edges)), make([]bool, len(p.edges))
	seen := make(map[[2]int]int)
	for i := range p.edges {
		e := &p.edges[i]
		pair := [2]int{e.from, e.to}
		tries := bends[:]
		if p.pair[i] >= 0 {
			if p.second(i) {
				back := p.arrows[p.pair[i]]
				p.arrows[i], p.drawn[i] = curve{back.c, back.b, back.a}, p.drawn[p.pair[i]]
				continue
			}
			tries = straight[:]
		}
		if p.crowded() {
			tries = tries[:1]
		}
		p.arrows[i], p.drawn[i] = route(p.boxes, e.from, e.to, seen[pair], tries)
		seen[pair]++
	}
}

// join finds the links of which one line with two heads says as much as two: the
// only two connectors between their groups, with the same cost and state.
func (p *picture) join() {
	p.pair = make([]int, len(p.edges))
	between := make(map[[2]int][]int)
	for i := range p.edges {
		e := &p.edges[i]
		p.pair[i] = -1
		ends := [2]int{min(e.from, e.to), max(e.from, e.to)}
		between[ends] = append(between[ends], i)
	}
	for _, list := range between {
		if len(list) != 2 {
			continue
		}
		a, b := &p.edges[list[0]], &p.edges[list[1]]
		if a.from == b.to && a.state() == b.state() && slices.Equal(p.label(a), p.label(b)) {
			p.pair[list[0]], p.pair[list[1]] = list[1], list[0]
		}
	}
}

// second says whether an edge shares the line, and the label, of the one before.
func (p *picture) second(i int) bool { return p.pair[i] >= 0 && p.pair[i] < i }

// crowded says that the map is too large to be read at a glance: then arrows and
// labels do not look for places, which would take minutes.
func (p *picture) crowded() bool { return len(p.edges) > manyEdges }

// caption puts each label where on its arrow it hides the least, the large ones
// first: they have the fewest places.
func (p *picture) caption() {
	p.labels = make([]rect, len(p.edges))
	sizes := make([]rect, len(p.edges))
	var order []int
	for i := range p.edges {
		lines := p.label(&p.edges[i])
		if len(lines) == 0 || !p.drawn[i] || p.second(i) {
			continue
		}
		sizes[i].h = float64(len(lines))*labelSkip/2 + 1
		for _, l := range lines {
			sizes[i].w = max(sizes[i].w, float64(utf8.RuneCountInString(l))*charWidth/2+5)
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b].w*sizes[b].h, sizes[a].w*sizes[a].h) })
	// Twice: in the second round a label makes way for those that came later.
	for range 2 {
		for _, i := range order {
			p.labels[i] = rect{}
			p.labels[i] = p.spot(sizes[i], i)
		}
	}
}

// spot is where a label hides the least: from the middle of its arrow outwards, to
// both sides in turn, and a little beside the line before it hides anything.
func (p *picture) spot(r rect, of int) rect {
	k := p.arrows[of]
	if p.crowded() {
		r.mid = k.at(0.5)
		return r
	}
	best, least := r, math.Inf(1)
	for step := range 2*labelSteps + 1 {
		t := 0.5 + float64((step+1)/2)*(1-2*float64(step%2))*labelReach/labelSteps
		ahead := k.at(t + 0.01).minus(k.at(t - 0.01))
		aside := point{-ahead.y, ahead.x}.times(1 / max(ahead.length(), 1e-9))
		for _, off := range [...]float64{0, 0.5, -0.5, 1, -1} {
			r.mid = k.at(t).plus(aside.times(off * min(r.h, r.w)))
			if c := p.cover(r, of) + math.Abs(off); c < least {
				best, least = r, c
			}
		}
	}
	return best
}

// cover says how much a label would hide: other labels and boxes count by their
// area, other arrows by the piece that is hidden.
func (p *picture) cover(r rect, of int) float64 {
	sum := 0.0
	for _, list := range [][]rect{p.boxes, p.labels} {
		for _, b := range list {
			if x, y := r.overlap(b); b.w > 0 && x > 0 && y > 0 {
				sum += x * y
			}
		}
	}
	for i, k := range p.arrows {
		if i == of || !p.drawn[i] || p.second(i) {
			continue
		}
		for s := range samples + 1 {
			if r.holds(k.at(float64(s) / samples)) {
				sum += 20
			}
		}
	}
	return sum
}

// fit moves everything into a frame that begins at zero.
func (p *picture) fit() {
	if len(p.boxes) == 0 {
		p.width, p.height = math.Ceil(legendWidth()+2*border), header+footer+border
		return
	}
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	include := func(q point) {
		low = point{min(low.x, q.x), min(low.y, q.y)}
		high = point{max(high.x, q.x), max(high.y, q.y)}
	}
	for _, list := range [][]rect{p.boxes, p.labels} {
		for _, b := range list {
			if b.w > 0 {
				include(b.mid.minus(point{b.w, b.h}))
				include(b.mid.plus(point{b.w, b.h}))
			}
		}
	}
	for _, k := range p.arrows {
		for s := range samples + 1 {
			include(k.at(float64(s) / samples))
		}
	}
	shift := point{border - low.x, border + header - low.y}
	for i := range p.boxes {
		p.boxes[i].mid = p.boxes[i].mid.plus(shift)
	}
	for i := range p.labels {
		p.labels[i].mid = p.labels[i].mid.plus(shift)
	}
	for i, k := range p.arrows {
		p.arrows[i] = curve{k.a.plus(shift), k.b.plus(shift), k.c.plus(shift)}
	}
	// Title and legend need their room in any case.
	p.width = math.Ceil(max(high.x-low.x, legendWidth()) + 2*border)
	p.height = math.Ceil(high.y - low.y + 2*border + header + footer)
}
