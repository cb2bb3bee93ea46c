package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func routeExplain(c *client) *cobra.Command {
	req := &topologyv1.ExplainRequest{}
	cmd := &cobra.Command{
		Use:     "explain ADDRESS",
		Short:   "Say which way mail to an address goes, and why the others lost",
		Example: "  postroadctl route explain olav@example.test --from paris-1\n  postroadctl route explain someone@example.net --size 5242880 --priority low",
		Args:    cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req.Address = args[0]
			m, err := topologyv1.NewTopologyServiceClient(conn).Explain(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			explain(cmd.OutOrStdout(), m)
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.From, "from", "", "server whose view is wanted (default: the node that is asked)")
	f.Int64Var(&req.Size, "size", 0, "message size in octets")
	f.StringVar(&req.Priority, "priority", "", "low, normal or high")
	f.BoolVar(&req.System, "system", false, "a report or another message of the transport itself")
	return cmd
}

func explain(w io.Writer, m *topologyv1.ExplainResponse) {
	fmt.Fprintf(w, "%s, seen from %s (routing table %d, catalog %s old)\n", m.GetAddress(), m.GetNode(), m.GetTableVersion(), age(m.GetCatalogAgeMs()))
	for _, l := range m.GetCategory() {
		fmt.Fprintf(w, "  %s\n", l)
	}
	for _, r := range m.GetRoutes() {
		fmt.Fprintf(w, "\n%s: %s", r.GetRecipient(), way(r))
		if len(r.GetPath()) > 1 {
			fmt.Fprintf(w, ", cost %d: %s", r.GetCost(), strings.Join(r.GetPath(), " → "))
		}
		fmt.Fprintln(w)
		for _, l := range r.GetReasons() {
			if l != "" {
				fmt.Fprintf(w, "  %s\n", l)
			}
		}
		for _, k := range r.GetCandidates() {
			fmt.Fprintf(w, "  %s %-18s %s\n", chosen(k.GetChosen()), k.GetConnector(), candidate(k))
		}
		width := 0
		for _, b := range r.GetBridgeheads() {
			width = max(width, len(b.GetServer()))
		}
		for _, b := range r.GetBridgeheads() {
			fmt.Fprintf(w, "  %s bridgehead %-*s %-4s weight %016x; %s\n", chosen(b.GetChosen()), width, b.GetServer(), upDown(b.GetUp()), b.GetWeight(), b.GetReason())
		}
	}
}

// way is the result in words.
func way(r *topologyv1.Route) string {
	var s string
	switch r.GetResult() {
	case "local":
		return "local delivery"
	case "failed", "unreachable":
		return r.GetResult()
	case "node":
		s = "to node " + r.GetNextHop()
	default:
		s = "by " + r.GetResult()
		if hop := r.GetNextHop(); hop != "" && hop != r.GetConnector() && hop != r.GetResult() {
			s += " " + hop
		}
	}
	if r.GetConnector() != "" {
		s += " over " + r.GetConnector()
	}
	return s
}

func candidate(k *topologyv1.Candidate) string {
	var parts []string
	if k.GetAddressSpace() != "" {
		parts = append(parts, k.GetAddressSpace())
	}
	if k.GetCost() >= 0 {
		parts = append(parts, fmt.Sprintf("cost %d", k.GetCost()))
	}
	if len(k.GetPath()) > 0 {
		parts = append(parts, strings.Join(k.GetPath(), " → "))
	}
	return strings.Join(append(parts, k.GetReason()), "; ")
}

func chosen(yes bool) string {
	if yes {
		return "✓"
	}
	return "✗"
}
