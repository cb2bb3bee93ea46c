package draw

import (
	"fmt"
	"io"
	"strings"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Dot writes the map in the language of Graphviz.
func Dot(w io.Writer, m *topologyv1.ShowResponse) error {
	c := newChart(m)
	var b strings.Builder
	b.WriteString("digraph postroad {\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for i := range c.nodes {
		n := &c.nodes[i]
		if n.group == nil {
			fmt.Fprintf(&b, "  n%d [label=%s, style=\"rounded,dashed\"];\n", i, dotQuote(strings.Join(n.lines(), "\n")))
			continue
		}
		lines := []string{n.group.GetName()}
		for _, s := range n.group.GetServers() {
			lines = append(lines, serverMark(s)+" "+serverText(s))
		}
		fmt.Fprintf(&b, "  n%d [label=%s];\n", i, dotQuote(strings.Join(lines, "\n")))
	}
	for i := range c.edges {
		e := &c.edges[i]
		label := strings.Join(append([]string{e.connector.GetName()}, c.label(e)...), "\n")
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s, tooltip=%s%s];\n", e.from, e.to, dotQuote(label), dotQuote(c.story(e.connector)), dotStyle(e.state()))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func dotStyle(state string) string {
	switch state {
	case "down":
		return ", color=red, fontcolor=red, style=dashed"
	case "disabled":
		return ", color=gray, fontcolor=gray, style=dotted"
	case "drained":
		return ", color=orange, fontcolor=darkorange, style=dashed"
	}
	return ""
}

// dotQuote makes a quoted string; only the quote and the backslash are special
// in it, and a line break is written as one.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
