package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// quarantineQueue is the ID of the queue of messages that were set aside.
const quarantineQueue = "quarantine"

func queueQuarantine(c *client) *cobra.Command {
	return group("quarantine", "Messages that were set aside because they cannot be read",
		quarantineList(c),
		quarantineChange(c, "release", "Put messages back where they were, and try them again", "released", false),
		quarantineChange(c, "delete", "Delete messages for good; nobody is told", "deleted", true))
}

func quarantineList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show them, what of them cannot be read, and what is known of them",
		Args:  needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := queuev1.NewQueueServiceClient(conn).Messages(ctx, &queuev1.MessagesRequest{Queue: quarantineQueue, Limit: 1000, Node: c.passedOn()})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			var rows [][]string
			for _, e := range m.GetMessages() {
				rows = append(rows, []string{e.GetQueueId(), dash(e.GetOriginId()), dash(e.GetSender()), dash(strings.Join(e.GetRecipients(), ",")),
					fmt.Sprint(e.GetSize()), time.UnixMilli(e.GetReceivedUnixMs()).Format(time.DateTime), dash(e.GetLastError())})
			}
			return c.table(cmd.OutOrStdout(), "QUEUE ID\tORIGIN\tSENDER\tRECIPIENTS\tSIZE\tRECEIVED\tCANNOT BE READ", rows)
		}),
	}
}

func quarantineChange(c *client, verb, short, done string, remove bool) *cobra.Command {
	req := &queuev1.QuarantineRequest{Delete: remove}
	cmd := &cobra.Command{
		Use:   verb + " {QUEUE-ID... | --all}",
		Short: short,
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req.Messages = args
			if err := c.itself(ctx, conn); err != nil {
				return err
			}
			m, err := queuev1.NewQueueServiceClient(conn).Quarantine(ctx, req)
			if err != nil {
				return err
			}
			if printed, err := c.message(cmd.OutOrStdout(), m); printed && err != nil {
				return err
			} else if !printed {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", count(len(m.GetMessages()), "message"), done)
			}
			var failed []error
			for _, id := range slices.Sorted(maps.Keys(m.GetFailed())) {
				failed = append(failed, fmt.Errorf("message %s: %s", id, m.GetFailed()[id]))
			}
			return errors.Join(failed...)
		}),
	}
	cmd.Flags().BoolVar(&req.All, "all", false, "all that the node has set aside")
	return cmd
}
