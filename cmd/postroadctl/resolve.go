package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// resolveTimeout is longer than that of other commands: silent name servers are what
// this one is for.
const resolveTimeout = 30 * time.Second

func routeResolve(c *client) *cobra.Command {
	req := &topologyv1.ResolveRequest{}
	cmd := &cobra.Command{
		Use:   "resolve DOMAIN",
		Short: "Say which hosts DNS names for a domain, in the order in which a node tries them",
		Long: `Ask DNS for the mail hosts of a domain as a node does for delivery, with its name servers and its cache:
hosts in the order in which they are tried, those that are left out with the reason, and each question with
its age in the cache. Whether mail to the domain goes by DNS at all, 'route explain' says.

Exit code 0: there is a host; 1: there is none, or DNS does not say.`,
		Example: "  postroadctl route resolve example.net\n  postroadctl route resolve example.net --from paris-1 --virtual-server partners",
		Args:    needs("DOMAIN"),
		RunE: c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			within := resolveTimeout
			if cmd.Flags().Changed("timeout") {
				within = c.timeout
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			req.Domain = args[0][strings.LastIndexByte(args[0], '@')+1:]
			m, err := topologyv1.NewTopologyServiceClient(conn).Resolve(ctx, req)
			if err != nil {
				return err
			}
			done, err := c.message(cmd.OutOrStdout(), m)
			if err != nil {
				return err
			}
			if !done {
				printResolved(cmd.OutOrStdout(), m)
			}
			if m.GetError() != "" {
				return &failure{fmt.Errorf("%s (%s)", m.GetError(), dash(m.GetStatus())), exitFailed}
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&req.VirtualServer, "virtual-server", "", "virtual server of that server whose name servers are asked (default: the one that sends where no connector names one)")
	cmd.Flags().StringVar(&req.From, "from", "", "server whose DNS is asked (default: the node that is asked)")
	return cmd
}

func printResolved(w io.Writer, m *topologyv1.ResolveResponse) {
	from := m.GetNode()
	if m.GetVirtualServer() != "" {
		from += "/" + m.GetVirtualServer()
	}
	fmt.Fprintf(w, "%s, seen from %s\n", m.GetDomain(), from)
	for _, h := range m.GetHosts() {
		preference := fmt.Sprintf("MX %d", h.GetPreference())
		if h.GetPreference() < 0 {
			preference = "no MX"
		}
		why := ""
		if h.GetLeftOut() != "" {
			why = "  left out: " + h.GetLeftOut()
		}
		fmt.Fprintf(w, "  %s %-8s %s  %s%s\n", chosen(why == ""), preference, h.GetName(), dash(strings.Join(h.GetAddresses(), " ")), why)
	}
	for _, q := range m.GetQuestions() {
		fmt.Fprintf(w, "  ? %-5s %s: %s\n", q.GetType(), q.GetName(), answerWords(q))
	}
}

// answerWords is what DNS said to one question.
func answerWords(q *topologyv1.DNSQuestion) string {
	if q.GetError() != "" {
		return q.GetError()
	}
	s := count(int(q.GetRecords()), "record")
	if !q.GetExists() {
		s = "the name does not exist"
	}
	if q.GetCached() {
		return fmt.Sprintf("%s, from the cache, %s old, asked again in %s; by %s", s, age(q.GetAgeMs()), age(q.GetLeftMs()), q.GetServer())
	}
	return fmt.Sprintf("%s, kept for %s; by %s", s, age(q.GetLeftMs()), q.GetServer())
}
