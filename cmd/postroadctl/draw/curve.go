package draw

// curve is a quadratic Bézier curve: an arrow.
type curve struct{ a, b, c point }

func (k curve) at(t float64) point {
	return between(between(k.a, k.b, t), between(k.b, k.c, t), t)
}

// cut is the piece from t to u.
func (k curve) cut(t, u float64) curve {
	// The part after t, then its part up to u (de Casteljau).
	k = curve{k.at(t), between(k.b, k.c, t), k.c}
	u = (u - t) / (1 - t)
	return curve{k.a, between(k.a, k.b, u), k.at(u)}
}

// longArrow is from where on arrows bend no further.
const longArrow = 280

// bent is the curve between two places that leaves the straight line to the
// right of its direction, by a part of its length.
func bent(a, c point, bend float64) curve {
	d := c.minus(a)
	if l := d.length(); l > longArrow {
		bend *= longArrow / l
	}
	right := point{-d.y, d.x} // y grows downwards
	return curve{a, between(a, c, 0.5).plus(right.times(2 * bend)), c}
}

// samples is how finely curves are tried against boxes.
const samples = 32

// clipped is what of a curve lies outside the two boxes that it joins; not ok if
// nothing does.
func (k curve) clipped(from, to rect) (out curve, ok bool) {
	first, last := -1.0, -1.0
	for i := range samples + 1 {
		t := float64(i) / samples
		if p := k.at(t); !from.holds(p) && !to.holds(p) {
			if first < 0 {
				first = t
			}
			last = t
		}
	}
	if first <= 0 || last >= 1 || last <= first {
		return k, false
	}
	const step = 1.0 / samples
	return k.cut(k.edge(from, first-step, first), k.edge(to, last+step, last)), true
}

// edge finds where the curve leaves a box, between a place in it and one outside.
func (k curve) edge(r rect, in, out float64) float64 {
	for range 20 {
		if mid := (in + out) / 2; r.holds(k.at(mid)) {
			in = mid
		} else {
			out = mid
		}
	}
	return out
}

// hits counts how many samples of the curve lie in boxes other than its own, or
// nearer to them than clear.
func (k curve) hits(boxes []rect, from, to int, clear float64) int {
	n := 0
	for i := range boxes {
		if i == from || i == to {
			continue
		}
		wide := boxes[i]
		wide.w, wide.h = wide.w+clear, wide.h+clear
		for s := range samples + 1 {
			if wide.holds(k.at(float64(s) / samples)) {
				n++
			}
		}
	}
	return n
}

// bends are tried in this order; parallel edges begin further out. None is
// another's opposite: the arrow back must not lie on this one.
var bends = [...]float64{0.07, 0.14, 0.28, -0.21, 0.42, -0.35, 0.56, -0.49}

// straight are the bends of a line that stands for both directions.
var straight = [...]float64{0, 0.07, -0.07, 0.14, -0.14, 0.28, -0.28, 0.42, -0.42, 0.56, -0.56}

// route finds the first bend on which an arrow hits the fewest boxes. number
// counts the edges of the same direction before it.
func route(boxes []rect, from, to, number int, tries []float64) (curve, bool) {
	a, c := boxes[from].mid, boxes[to].mid
	var best curve
	fewest := -1
	for _, b := range tries {
		if b > 0 {
			b += 0.1 * float64(number)
		} else {
			b -= 0.1 * float64(number)
		}
		k := bent(a, c, b)
		if len(tries) == 1 {
			best = k
			break
		}
		if n := k.hits(boxes, from, to, margin); fewest < 0 || n < fewest {
			best, fewest = k, n
		}
		if fewest == 0 {
			break
		}
	}
	return best.clipped(boxes[from], boxes[to])
}
