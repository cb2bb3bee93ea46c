package draw

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Colours of states, told apart also by line style and words.
const (
	colourUp       = "#37474f"
	colourDown     = "#c62828"
	colourDisabled = "#9e9e9e"
	colourSuspect  = "#ef8f00"
	colourGood     = "#2e7d32"
)

// SVG writes the map as a picture of its own layout.
func SVG(w io.Writer, m *topologyv1.ShowResponse) error {
	p := newPicture(newChart(m))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]v" height="%[2]v" viewBox="0 0 %[1]v %[2]v" font-family="DejaVu Sans, Verdana, sans-serif" font-size="%[3]d">`+"\n",
		p.width, p.height, fontSize)
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n<defs>\n")
	for _, s := range []string{"up", "down", "disabled", "drained"} {
		fmt.Fprintf(&b, `<marker id="%s" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,1 L10,5 L0,9 z" fill="%s"/></marker>`+"\n", s, colourOf(s))
	}
	b.WriteString("</defs>\n")
	title := fmt.Sprintf("The organisation as %s sees it", m.GetNode())
	detail := fmt.Sprintf("routing table %d, directory revision %d", m.GetTableVersion(), m.GetDirectoryRevision())
	text(&b, border, 34, `font-size="17" font-weight="bold"`, title)
	text(&b, border, 54, `fill="#616161"`, detail)
	for i := range p.edges {
		p.arrow(&b, i)
	}
	for i := range p.nodes {
		p.box(&b, i)
	}
	for i := range p.edges {
		p.labelled(&b, i)
	}
	p.legend(&b)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func colourOf(state string) string {
	switch state {
	case "down":
		return colourDown
	case "disabled":
		return colourDisabled
	case "drained":
		return colourSuspect
	}
	return colourUp
}

func dashes(state string) string {
	switch state {
	case "down":
		return ` stroke-dasharray="7 4"`
	case "disabled":
		return ` stroke-dasharray="2 4"`
	case "drained":
		return ` stroke-dasharray="12 3"`
	}
	return ""
}

func (p *picture) arrow(b *strings.Builder, i int) {
	if !p.drawn[i] {
		return
	}
	e, k := &p.edges[i], p.arrows[i]
	if p.pair[i] >= 0 {
		k = k.cut(0.5, 1) // the other half is the other direction's
	}
	s := e.state()
	fmt.Fprintf(b, `<path d="M%s Q%s %s" fill="none" stroke="%s" stroke-width="1.6"%s marker-end="url(#%s)">`, k.a, k.b, k.c, colourOf(s), dashes(s), s)
	fmt.Fprintf(b, "<title>%s</title></path>\n", escaped(p.story(e.connector)))
}

// String is the place as SVG wants it, in whole pixels.
func (p point) String() string { return pixels(p.x) + "," + pixels(p.y) }

func pixels(f float64) string { return strconv.Itoa(int(math.Round(f))) }

func (p *picture) box(b *strings.Builder, i int) {
	n, r := &p.nodes[i], p.boxes[i]
	x, y := r.mid.x-r.w, r.mid.y-r.h
	place := fmt.Sprintf(`x="%s" y="%s" width="%s" height="%s"`, pixels(x), pixels(y), pixels(2*r.w), pixels(2*r.h))
	line := y + margin/2 + fontSize
	if n.group == nil {
		fmt.Fprintf(b, `<rect %s rx="%s" fill="#fafafa" stroke="#9e9e9e" stroke-dasharray="4 3"/>`+"\n", place, pixels(min(r.h, 16)))
		for j, l := range n.lines() {
			text(b, r.mid.x, line+float64(j)*lineSkip, `text-anchor="middle" fill="#424242"`, l)
		}
		return
	}
	fmt.Fprintf(b, `<rect %s rx="7" fill="#eef3f8" stroke="#607d8b" stroke-width="1.4"/>`+"\n", place)
	text(b, r.mid.x, line, `text-anchor="middle" font-weight="bold"`, n.group.GetName())
	for j, l := range n.serverLines() {
		at := line + float64(j+1)*lineSkip
		fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="4" %s/>`+"\n", pixels(x+margin+4), pixels(at-4), dot(l.state))
		text(b, x+margin+15, at, `fill="#212121"`, l.text)
	}
}

// dot is how a server's state looks: full only if it is up.
func dot(state string) string {
	switch state {
	case "up":
		return `fill="` + colourGood + `"`
	case "suspect":
		return `fill="none" stroke-width="2" stroke="` + colourSuspect + `"`
	case "unknown":
		return `fill="none" stroke-width="2" stroke="` + colourDisabled + `"`
	}
	return `fill="none" stroke-width="2" stroke="` + colourDown + `"`
}

func (p *picture) labelled(b *strings.Builder, i int) {
	r := p.labels[i]
	if r.w == 0 {
		return
	}
	e := &p.edges[i]
	colour := colourOf(e.state())
	fmt.Fprintf(b, `<rect x="%s" y="%s" width="%s" height="%s" rx="8" fill="#ffffff" stroke="%s"/>`+"\n",
		pixels(r.mid.x-r.w), pixels(r.mid.y-r.h), pixels(2*r.w), pixels(2*r.h), colour)
	for j, l := range p.label(e) {
		text(b, r.mid.x, r.mid.y-r.h+float64(j)*labelSkip+12.5, `text-anchor="middle" font-size="12" fill="`+colour+`"`, l)
	}
}

// entry of the legend.
type entry struct {
	state, words string
	both         bool
}

var legendWords = [...]entry{{"up", "up, with its cost", false}, {"up", "both ways", true}, {"down", "down", false}, {"disabled", "disabled", false}, {"drained", "drained", false}}

const legendLast = "outside the organisation"

func (e entry) width() float64 { return 52 + float64(len(e.words))*charWidth + 24 }

// legendWidth is what the legend needs, without the border.
func legendWidth() float64 {
	x := 38 + float64(len(legendLast))*charWidth
	for _, e := range legendWords {
		x += e.width()
	}
	return x
}

func (p *picture) legend(b *strings.Builder) {
	y := p.height - footer/2
	x := float64(border)
	for _, s := range legendWords {
		fmt.Fprintf(b, `<path d="M%s H%s" stroke="%s" stroke-width="1.6"%s marker-end="url(#%s)"/>`+"\n", point{x, y}, pixels(x+44), colourOf(s.state), dashes(s.state), s.state)
		if s.both {
			fmt.Fprintf(b, `<path d="M%s H%s" stroke="%s" stroke-width="1.6" marker-end="url(#%s)"/>`+"\n", point{x + 22, y}, pixels(x), colourOf(s.state), s.state)
		}
		text(b, x+52, y+4, `fill="#616161"`, s.words)
		x += s.width()
	}
	fmt.Fprintf(b, `<rect x="%s" y="%s" width="30" height="16" rx="8" fill="#fafafa" stroke="#9e9e9e" stroke-dasharray="4 3"/>`+"\n", pixels(x), pixels(y-8))
	text(b, x+38, y+4, `fill="#616161"`, legendLast)
}

func text(b *strings.Builder, x, y float64, attributes, s string) {
	fmt.Fprintf(b, `<text x="%s" y="%s" %s>%s</text>`+"\n", pixels(x), pixels(y), attributes, escaped(s))
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func plural(n int, what string) string {
	s := strconv.Itoa(n) + " " + what
	if n != 1 {
		s += "s"
	}
	return s
}
