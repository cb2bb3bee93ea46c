package draw

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Text shows the groups as boxes, below them one line for each connector, and last what
// is not as it should be.
func Text(w io.Writer, m *topologyv1.ShowResponse) error {
	boxes(w, m.GetGroups())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	dead := deadServers(m)
	for _, k := range m.GetConnectors() {
		to := k.GetTargetGroup()
		if to == "" {
			to = spacesText(k.GetAddressSpaces())
		}
		e := edge{connector: k}
		state := e.stateWords()
		if state == "" {
			state = "UP"
		}
		if n := k.GetQueued(); n > 0 {
			state += fmt.Sprintf(" %d queued", n)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.GetSourceGroup(), arrow(k), to, state, carried(k), k.GetName(), dead.carriers(k))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, l := range troubles(m) {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, l)
	}
	return nil
}

// spacesText names few address spaces: a line is for a terminal.
func spacesText(list []string) string {
	const few = 2
	if len(list) <= few+1 {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], " "), len(list)-few)
}

// carried is the load of the last 24 hours.
func carried(k *topologyv1.Connector) string {
	if l := load(k); l != "" {
		return l + "/24h"
	}
	return "-"
}

// arrow carries the cost, unless each address space has its own.
func arrow(k *topologyv1.Connector) string {
	dash := "─"
	if !k.GetUp() {
		dash = "╌"
	}
	if k.GetTargetGroup() == "" {
		return strings.Repeat(dash, 9) + "▶"
	}
	return fmt.Sprintf("%s%4d %s▶", dash+dash, k.GetCost(), dash+dash)
}

// dead are the servers that are down.
type dead map[string]bool

func deadServers(m *topologyv1.ShowResponse) dead {
	d := make(dead)
	for _, g := range m.GetGroups() {
		for _, s := range g.GetServers() {
			if s.GetState() == "down" {
				d[s.GetName()] = true
			}
		}
	}
	return d
}

// carriers tells which servers send and who receives.
func (d dead) carriers(k *topologyv1.Connector) string {
	var from []string
	for _, b := range k.GetBridgeheads() {
		s := b.GetServer()
		if by := b.GetVirtualServer(); by != "" {
			s += "/" + by // as it is written in localBridgeheads
		}
		if !b.GetUp() {
			s += " DOWN (" + b.GetReason() + ")"
		}
		from = append(from, s)
	}
	var to []string
	for _, s := range k.GetRemoteBridgeheads() {
		if d[s] {
			s += " DOWN"
		}
		to = append(to, s)
	}
	if len(to) == 0 {
		to = k.GetSmartHosts()
	}
	if len(to) == 0 {
		to = []string{beyond(k)}
	}
	s := strings.Join(from, ", ") + " → " + strings.Join(to, ", ")
	if k.GetReason() != "" && !slices.ContainsFunc(k.GetBridgeheads(), func(b *topologyv1.Bridgehead) bool { return !b.GetUp() }) {
		s += ": " + k.GetReason()
	}
	return s
}

// beyond is where a connector leads that names no server and no host.
func beyond(k *topologyv1.Connector) string {
	if k.GetKind() == "SMTPConnector" {
		return "by DNS"
	}
	return "gateway"
}

// boxes draws the groups side by side, as many in a row as 100 columns hold.
func boxes(w io.Writer, groups []*topologyv1.Group) {
	const columns = 100
	var row [][]string
	width := 0
	for _, g := range groups {
		b := box(g)
		if n := utf8.RuneCountInString(b[0]) + 2; width+n > columns && len(row) > 0 {
			printRow(w, row)
			row, width = nil, 0
		}
		row = append(row, b)
		width += utf8.RuneCountInString(b[0]) + 2
	}
	printRow(w, row)
	fmt.Fprintln(w)
}

func box(g *topologyv1.Group) []string {
	inner := utf8.RuneCountInString(g.GetName()) + 2
	var lines []string
	for _, s := range g.GetServers() {
		l := fmt.Sprintf("%s %s  %s", serverMark(s), s.GetName(), s.GetState())
		if s.GetDrain() != "" {
			l += ", drained " + s.GetDrain()
		}
		lines = append(lines, l)
		inner = max(inner, utf8.RuneCountInString(l))
	}
	pad := func(s, fill string) string { return s + strings.Repeat(fill, inner-utf8.RuneCountInString(s)) }
	out := []string{"┌" + pad("─ "+g.GetName()+" ", "─") + "──┐"}
	for _, l := range lines {
		out = append(out, "│ "+pad(l, " ")+" │")
	}
	return append(out, "└"+pad("", "─")+"──┘")
}

func printRow(w io.Writer, row [][]string) {
	height := 0
	for _, b := range row {
		height = max(height, len(b))
	}
	for i := range height {
		var line strings.Builder
		for _, b := range row {
			s := strings.Repeat(" ", utf8.RuneCountInString(b[0]))
			if i < len(b) {
				s = b[i]
			}
			line.WriteString(s + "  ")
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
