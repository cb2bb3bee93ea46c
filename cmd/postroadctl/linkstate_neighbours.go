package main

import (
	"fmt"
	"io"
	"time"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// neighbours shows the streams of the asked node: what it hears it hears over these.
func (c *client) neighbours(w io.Writer, m *linkstatev1.ListResponse, now time.Time) error {
	if len(m.GetNeighbours()) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, n := range m.GetNeighbours() {
		state, reason := "connected", "-"
		switch {
		case !n.GetConnected():
			state, reason = "NONE", dash(n.GetLastError())
		case n.GetDivergedSinceUnixMs() != 0:
			state, reason = "DIVERGED", "has kept another table, since "+when(n.GetDivergedSinceUnixMs(), now)
		}
		rows = append(rows, []string{n.GetServer(), state, dash(n.GetCarrier()), when(n.GetSinceUnixMs(), now), reason})
	}
	return c.table(w, "NEIGHBOUR OF "+m.GetNode()+"\tSTREAM\tOVER\tSINCE\tREASON", rows)
}
