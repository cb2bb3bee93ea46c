package draw

import (
	"fmt"
	"io"
	"strings"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Mermaid writes the map as a flowchart that wikis and forges draw.
func Mermaid(w io.Writer, m *topologyv1.ShowResponse) error {
	c := newChart(m)
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i := range c.nodes {
		n := &c.nodes[i]
		if n.group == nil {
			fmt.Fprintf(&b, "  n%d([%s])\n", i, mermaidQuote(strings.Join(n.lines(), "\n")))
			continue
		}
		lines := []string{n.group.GetName()}
		for _, s := range n.group.GetServers() {
			lines = append(lines, serverMark(s)+" "+serverText(s))
		}
		fmt.Fprintf(&b, "  n%d[%s]\n", i, mermaidQuote(strings.Join(lines, "\n")))
	}
	var styles strings.Builder
	for i := range c.edges {
		e := &c.edges[i]
		label := strings.Join(append([]string{e.connector.GetName()}, c.label(e)...), " ")
		arrow := "-->"
		switch e.state() {
		case "down":
			arrow = "-.->"
			fmt.Fprintf(&styles, "  linkStyle %d stroke:red,color:red\n", i)
		case "disabled":
			arrow = "-.->"
			fmt.Fprintf(&styles, "  linkStyle %d stroke:gray,color:gray\n", i)
		case "drained":
			fmt.Fprintf(&styles, "  linkStyle %d stroke:orange,color:orange\n", i)
		}
		fmt.Fprintf(&b, "  n%d %s|%s| n%d\n", e.from, arrow, mermaidQuote(label), e.to)
	}
	_, err := io.WriteString(w, b.String()+styles.String())
	return err
}

// mermaidQuote makes a quoted text; Mermaid reads entities in it.
func mermaidQuote(s string) string {
	return `"` + strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "\n", "<br/>").Replace(s) + `"`
}
