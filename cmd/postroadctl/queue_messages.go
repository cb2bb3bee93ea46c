package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/filter"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func queueMessages(c *client) *cobra.Command {
	var oneNode bool
	req := &queuev1.MessagesRequest{}
	cmd := &cobra.Command{
		Use:   "messages [QUEUE-ID]",
		Short: "Show messages that wait: all, those of a queue, those that a filter means",
		Long: `Show messages that wait on all nodes (--node names one), in the order in which they were
accepted. Mail that comes or goes between two pages changes nothing for the
rest. Where a node has to look at very many messages, the search goes on until --limit
are found or --timeout is over; then it says how far it came.
` + filterHelp + fieldNames(filter.Messages),
		Example: "  postroadctl queue messages --filter 'sender ~ *@shop.example and size > 5M'\n" +
			"  postroadctl queue messages --queue 1k3v9 --limit 20",
		Args: cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			if len(args) > 0 && req.GetQueue() != "" && args[0] != req.GetQueue() {
				return &failure{fmt.Errorf("two queues: %s and --queue %s; name one", args[0], req.GetQueue()), exitUsage}
			}
			if len(args) > 0 {
				req.Queue = args[0]
			}
			if req.GetLimit() <= 0 {
				return errLimit
			}
			req.AllNodes = req.GetAllNodes() && !oneNode && c.node == ""
			req.Node = c.passedOn()
			m, err := search(ctx, conn, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			if err := c.waiting(cmd.OutOrStdout(), m.GetMessages()); err != nil {
				return err
			}
			if len(m.GetMessages()) < int(req.GetLimit()) && m.GetNextPageToken() != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "the time is over: looked at %s, accepted up to %s\n",
					count64(m.GetLookedAt(), "message", "messages"), time.UnixMilli(m.GetLookedUntilUnixMs()).Format(time.DateTime))
			}
			onward(cmd.ErrOrStderr(), "more messages", m.GetNextPageToken())
			return missing(cmd.ErrOrStderr(), m.GetMissing())
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Queue, "queue", "", "only this queue, by its ID")
	f.StringVar(&req.Filter, "filter", "", "only messages that are meant")
	f.BoolVar(&req.AllNodes, "all-nodes", true, "ask all nodes")
	f.BoolVar(&oneNode, "one", false, "only the node that is asked, as --all-nodes=false")
	f.Int32Var(&req.Limit, "limit", 100, "at most this many")
	f.StringVar(&req.PageToken, "page", "", "go on where the last page ended")
	return cmd
}

// search asks for page after page until there are as many messages as wanted, no
// more are left, or the time is nearly over.
func search(ctx context.Context, conn grpc.ClientConnInterface, req *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	limit := req.GetLimit()
	if limit <= 0 {
		limit = 100
	}
	ask := &queuev1.MessagesRequest{Queue: req.GetQueue(), Filter: req.GetFilter(), AllNodes: req.GetAllNodes(), Node: req.GetNode(), PageToken: req.GetPageToken()}
	out := &queuev1.MessagesResponse{}
	for {
		ask.Limit = limit - int32(len(out.GetMessages()))
		m, err := queuev1.NewQueueServiceClient(conn).Messages(ctx, ask)
		if err != nil {
			if out.GetNextPageToken() != "" && status.Code(err) == codes.DeadlineExceeded {
				return out, nil // what was found is worth more than the error
			}
			return nil, err
		}
		out.Messages = append(out.Messages, m.GetMessages()...)
		out.Missing = joined(out.Missing, m.GetMissing())
		out.LookedAt += m.GetLookedAt()
		out.NextPageToken, out.LookedUntilUnixMs = m.GetNextPageToken(), m.GetLookedUntilUnixMs()
		if ask.PageToken = out.NextPageToken; ask.PageToken == "" || int32(len(out.GetMessages())) >= limit {
			return out, nil
		}
	}
}

func (c *client) waiting(w io.Writer, list []*queuev1.Message) error {
	now := time.Now()
	header := "QUEUE ID\tNODE\tSENDER\tRECIPIENTS\tSIZE\tRECEIVED\tSTATE\tATTEMPTS\tLAST ERROR"
	if c.format == "wide" {
		header += "\tQUEUE\tDESTINATION\tNEXT HOP\tCONNECTOR\tPRIORITY\tNEXT TRY\tMESSAGE-ID"
	}
	var rows [][]string
	for _, e := range list {
		row := []string{e.GetQueueId(), e.GetNode(), "<" + e.GetSender() + ">", strings.Join(e.GetRecipients(), ","), fmt.Sprint(e.GetSize()),
			time.UnixMilli(e.GetReceivedUnixMs()).Format(time.DateTime), dash(e.GetState()), fmt.Sprint(e.GetAttempts()), messageError(e)}
		if c.format == "wide" {
			row = append(row, e.GetQueue(), dash(e.GetDestination()), dash(e.GetNextHop()), dash(e.GetConnector()),
				dash(e.GetPriority()), when(e.GetNextAttemptUnixMs(), now), dash(e.GetMessageId()))
		}
		rows = append(rows, row)
	}
	return c.table(w, header, rows)
}

func queueShape(c *client) *cobra.Command {
	req := &queuev1.ShapeRequest{}
	cmd := &cobra.Command{
		Use:   "shape",
		Short: "Count waiting messages of all nodes by age, for each destination or sender's domain",
		Long: `Count waiting messages by age, for each destination (every recipient's queue counts) or
sender's domain (every message counts once), the greatest number first. Columns are
ages in minutes: what is younger than that, and not in a column before it. Every
message is looked at: with a million of them it takes seconds.`,
		Example: "  postroadctl queue shape\n  postroadctl queue shape --by sender-domain",
		Args:    needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			req.Node = c.passedOn()
			req.AllNodes = req.GetAllNodes() && c.node == ""
			m, err := queuev1.NewQueueServiceClient(conn).Shape(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			header := strings.ToUpper(strings.ReplaceAll(req.GetBy(), "-", " ")) + "\tTOTAL"
			last := int32(0)
			for _, n := range m.GetMinutes() {
				header += fmt.Sprintf("\t%d", n)
				last = n
			}
			header += fmt.Sprintf("\t%d+", last)
			rows := [][]string{shapeRow(m.GetTotal())}
			for _, r := range m.GetRows() {
				rows = append(rows, shapeRow(r))
			}
			return firstError(c.table(cmd.OutOrStdout(), header, rows), missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.By, "by", "destination", "destination or sender-domain")
	f.BoolVar(&req.AllNodes, "all-nodes", true, "ask all nodes; --node asks one")
	return cmd
}

func shapeRow(r *queuev1.ShapeRow) []string {
	row := []string{r.GetName(), fmt.Sprint(r.GetTotal())}
	for _, n := range r.GetCounts() {
		row = append(row, fmt.Sprint(n))
	}
	return row
}
