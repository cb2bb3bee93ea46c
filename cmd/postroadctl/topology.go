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
	return &cobra.Command{
		Use:   "show",
		Short: "Draw groups, connectors, costs and states",
		Long: `Draw groups, connectors, costs and states as the asked node sees them, with the
messages that wait on it for each connector. -o text (as without -o) draws for the
terminal, -o dot for Graphviz, -o mermaid for wikis, -o svg a picture.`,
		Example: "  postroadctl topology show --watch\n  postroadctl topology show -o svg > map.svg",
		Args:    cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := topologyv1.NewTopologyServiceClient(conn).Show(ctx, &topologyv1.ShowRequest{})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			if render, ok := pictures[c.format]; ok {
				return render(cmd.OutOrStdout(), m)
			}
			return drawText(cmd.OutOrStdout(), m)
		}, "text", "dot", "mermaid", "svg"),
	}
}

func drawText(w io.Writer, m *topologyv1.ShowResponse) error {
	fmt.Fprintf(w, "The organisation as %s sees it: routing table %d, directory revision %d, catalog %s old\n\n",
		m.GetNode(), m.GetTableVersion(), m.GetDirectoryRevision(), age(m.GetCatalogAgeMs()))
	return draw.Text(w, m)
}
