package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/postroad/postroad/cmd/postroadctl/draw"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// pictures are the forms in which only the map can be shown.
var pictures = map[string]func(io.Writer, *topologyv1.ShowResponse) error{
	"dot": draw.Dot, "mermaid": draw.Mermaid, "svg": draw.SVG, "text": drawText,
}

func topologyShow(c *client) *cobra.Command {
	var one bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Draw groups, connectors, costs, states, queues and load",
		Long: `Draw groups, connectors, costs and states as the asked node sees them, with the
messages that wait for each connector and what it carried in the last 24 hours, added up
over all nodes. -o text (as without -o) draws for the terminal, -o dot for Graphviz,
-o mermaid for wikis, -o svg a picture.`,
		Example: "  postroadctl topology show --watch\n  postroadctl topology show -o svg > map.svg",
		Args:    needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := topologyv1.NewTopologyServiceClient(conn).Show(ctx, &topologyv1.ShowRequest{AllNodes: !one})
			if err != nil {
				return err
			}
			silent := missing(cmd.ErrOrStderr(), m.GetMissing())
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, silent)
			}
			render, ok := pictures[c.format]
			switch {
			case c.format == "name":
				render = names
			case !ok:
				render = drawText
			}
			return firstError(render(cmd.OutOrStdout(), m), silent)
		}, "text", "dot", "mermaid", "svg"),
	}
	cmd.Flags().BoolVar(&one, "one", false, "queues and load of the asked node only")
	return cmd
}

// names lists servers and connectors, each once.
func names(w io.Writer, m *topologyv1.ShowResponse) error {
	for _, g := range m.GetGroups() {
		for _, s := range g.GetServers() {
			fmt.Fprintln(w, s.GetName())
		}
	}
	last := ""
	for _, k := range m.GetConnectors() {
		if k.GetName() != last {
			fmt.Fprintln(w, k.GetName())
		}
		last = k.GetName()
	}
	return nil
}

func drawText(w io.Writer, m *topologyv1.ShowResponse) error {
	fmt.Fprintf(w, "The organisation as %s sees it: routing table %d, directory revision %d, catalog %s old\n\n",
		m.GetNode(), m.GetTableVersion(), m.GetDirectoryRevision(), age(m.GetCatalogAgeMs()))
	return draw.Text(w, m)
}
