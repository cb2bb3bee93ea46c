package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func queueList(c *client) *cobra.Command {
	var oneNode, busy bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show queues of all nodes, their state and what they wait for",
		Args:  cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := queuev1.NewQueueServiceClient(conn).List(ctx, &queuev1.ListRequest{AllNodes: !oneNode})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			now := time.Now()
			var rows [][]string
			for _, q := range m.GetQueues() {
				if busy && q.GetMessages() == 0 {
					continue
				}
				oldest := "-"
				if q.GetMessages() > 0 {
					oldest = age(q.GetOldestAgeMs())
				}
				row := []string{q.GetId(), q.GetNode(), q.GetKind(), dash(q.GetDestination()), dash(q.GetNextHop()),
					queueState(q), fmt.Sprint(q.GetMessages()), oldest, when(q.GetNextAttemptUnixMs(), now), dash(q.GetWaitingFor())}
				if c.format == "wide" {
					row = append(row, dash(q.GetConnector()), dash(q.GetClass()), fmt.Sprint(q.GetConnections()), dash(q.GetLastError()))
				}
				rows = append(rows, row)
			}
			header := "ID\tNODE\tQUEUE\tDESTINATION\tNEXT HOP\tSTATE\tMESSAGES\tOLDEST\tNEXT TRY\tWAITING FOR"
			if c.format == "wide" {
				header += "\tCONNECTOR\tCLASS\tCONNECTIONS\tLAST ERROR"
			}
			return firstError(c.table(cmd.OutOrStdout(), header, rows), missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
	cmd.Flags().BoolVar(&oneNode, "one", false, "only the node that is asked")
	cmd.Flags().BoolVar(&busy, "busy", false, "only queues with messages")
	return cmd
}

// queueState is the state in a word. A queue without a link of its own is
// ready whenever it may move; with mail in it and a reason it waits.
func queueState(q *queuev1.Queue) string {
	if q.GetState() == queuev1.State_STATE_READY && q.GetMessages() > 0 && q.GetWaitingFor() != "" {
		return "waiting"
	}
	return word(q.GetState().String(), "STATE_")
}

func queueMessages(c *client) *cobra.Command {
	req := &queuev1.MessagesRequest{}
	cmd := &cobra.Command{
		Use:   "messages [QUEUE-ID]",
		Short: "Show messages that wait on the node that is asked",
		Args:  cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			if len(args) > 0 {
				req.Queue = args[0]
			}
			m, err := queuev1.NewQueueServiceClient(conn).Messages(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			var rows [][]string
			for _, e := range m.GetMessages() {
				rows = append(rows, []string{e.GetQueueId(), "<" + e.GetSender() + ">", strings.Join(e.GetRecipients(), ","), fmt.Sprint(e.GetSize()),
					time.UnixMilli(e.GetReceivedUnixMs()).Format(time.DateTime), fmt.Sprint(e.GetAttempts()), dash(e.GetLastError())})
			}
			return c.table(cmd.OutOrStdout(), "QUEUE ID\tSENDER\tRECIPIENTS\tSIZE\tRECEIVED\tATTEMPTS\tLAST ERROR", rows)
		}),
	}
	cmd.Flags().Int32Var(&req.Limit, "limit", 100, "at most this many")
	return cmd
}

func queueRetry(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "retry [QUEUE-ID]",
		Short: "Make waiting links of the node that is asked try now",
		Args:  cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req := &queuev1.RetryRequest{}
			if len(args) > 0 {
				req.Queue = args[0]
			}
			m, err := queuev1.NewQueueServiceClient(conn).Retry(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			if m.GetLinks() == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no link was waiting for its next try")
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s tried now\n", count(int(m.GetLinks()), "link"))
			return nil
		}),
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
