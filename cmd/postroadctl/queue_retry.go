package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func queueRetry(c *client) *cobra.Command {
	var server string
	var f actFlags
	cmd := &cobra.Command{
		Use:   "retry [QUEUE-ID...]",
		Short: "Force connections: make waiting links of all nodes, or of one, try now",
		Long: `Force connections: make waiting links try now, and give out the messages that were deferred. Without more, that is for
all that waits after a failure, on all nodes. Queues that are named, by IDs, a filter or by what they are like, go out though the
schedule of their connector is shut, or nobody asked for them. Frozen queues stay frozen. The ID directory has the directory
asked now, poison has those messages tried again that crashed what processed them.` + aboutQueueFilters,
		Example: "  postroadctl queue retry\n  postroadctl queue retry --next-hop mx.example.com --reason 'their host is back'\n" +
			"  postroadctl queue retry --filter 'state = retry and oldest > 2h' --dry-run",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.alike() || len(args) > 0 || f.filter != "" {
				return f.check(queuev1.Action_ACTION_RETRY, false, cmd, args)
			}
			return nil
		},
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req := &queuev1.ActRequest{
				Action: queuev1.Action_ACTION_RETRY, Queues: args, Filter: f.filter, Like: f.like(), Reason: f.reason, By: operator(), DryRun: f.dryRun,
			}
			req.Node, req.AllNodes = c.meant(server)
			m, err := queuev1.NewQueueServiceClient(conn).Act(ctx, req)
			if err != nil {
				return err
			}
			return c.printRetry(cmd, m, req)
		}),
	}
	c.serverFlag(cmd, &server)
	fl := cmd.Flags()
	fl.StringVar(&f.filter, "filter", "", "queues that the filter means")
	f.alikeFlags(fl, "")
	fl.StringVar(&f.reason, "reason", "", "why, for the log")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only say what would be touched")
	return cmd
}

func (c *client) printRetry(cmd *cobra.Command, m *queuev1.ActResponse, req *queuev1.ActRequest) error {
	w := cmd.OutOrStdout()
	// Programs get the form that this command has had from the beginning.
	short := &queuev1.RetryResponse{LinksOf: map[string]int32{}, Missing: m.GetMissing()}
	var sum queuev1.ActResult
	for _, r := range m.GetResults() {
		short.LinksOf[r.GetNode()] = int32(r.GetLinks())
		short.Links += int32(r.GetLinks())
		sum.Queues, sum.Messages = sum.GetQueues()+r.GetQueues(), sum.GetMessages()+r.GetMessages()
	}
	done, err := c.message(w, short)
	if err != nil {
		return err
	}
	tried := "tried now"
	if req.GetDryRun() {
		tried = "would be tried"
	}
	on := ""
	if n := len(m.GetResults()); n > 1 {
		on = " on " + count(n, "node")
	}
	what := count64(sum.GetQueues(), "queue", "queues") + " with " + count64(sum.GetMessages(), "message", "messages")
	wrong := firstError(staying(m), notFound(m, req))
	switch {
	case done:
	case short.GetLinks() > 0:
		fmt.Fprintf(w, "%s %s, for %s%s\n", count(int(short.GetLinks()), "link"), tried, what, on)
	case sum.GetQueues() > 0:
		fmt.Fprintf(w, "%s %s%s\n", what, tried, on)
	case wrong == nil:
		fmt.Fprintf(w, "nothing was waiting for its next try%s\n", on)
	}
	return firstError(wrong, missing(cmd.ErrOrStderr(), m.GetMissing()))
}
