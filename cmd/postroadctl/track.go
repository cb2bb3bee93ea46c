package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

func trackFollow(c *client) *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "follow MESSAGE-ID",
		Short: "Tell a message's way over all nodes",
		Long:  "Tell a message's way over all nodes, by its Message-ID header, its queue ID or its origin ID.",
		Args:  needs("MESSAGE-ID"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			m, err := trackingv1.NewTrackingServiceClient(conn).Follow(ctx, &trackingv1.FollowRequest{Message: args[0], Node: server})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			apart(cmd.ErrOrStderr(), m.GetClocksAheadUs())
			return firstError(c.events(cmd.OutOrStdout(), m.GetEvents(), m.GetClocksAheadUs()), missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
	c.serverFlag(cmd, &server)
	return cmd
}

func trackFind(c *client) *cobra.Command {
	req := &trackingv1.FindRequest{}
	var since time.Duration
	var server string
	cmd := &cobra.Command{
		Use:   "find",
		Short: "Search the events of all nodes, or of one",
		Args:  needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			req.Node, req.AllNodes = c.meant(server)
			req.SinceUnixUs = time.Now().Add(-since).UnixMicro()
			m, err := trackingv1.NewTrackingServiceClient(conn).Find(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			return firstError(c.found(cmd.OutOrStdout(), m.GetEvents()), missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Sender, "sender", "", "sender's address")
	f.StringVar(&req.Recipient, "recipient", "", "recipient's address")
	f.DurationVar(&since, "since", time.Hour, "how far back")
	f.Int32Var(&req.Limit, "limit", 1000, "at most this many, the latest")
	c.serverFlag(cmd, &server)
	return cmd
}

// apart names the nodes whose clocks differ.
func apart(w io.Writer, ahead map[string]int64) {
	for _, node := range slices.Sorted(maps.Keys(ahead)) {
		by, way := time.Duration(ahead[node])*time.Microsecond, "ahead"
		if by < 0 {
			by, way = -by, "behind"
		}
		fmt.Fprintf(w, "the clock of %s is %s %s: order and LATER are without that, TIME is its own\n", node, by.Round(time.Second), way)
	}
}

func (c *client) events(w io.Writer, events []*trackingv1.Event, ahead map[string]int64) error {
	var rows [][]string
	at := func(e *trackingv1.Event) int64 { return e.GetTimeUnixUs() - ahead[e.GetNode()] }
	for _, e := range events {
		row := []string{time.UnixMicro(e.GetTimeUnixUs()).Format("15:04:05.000"), later(at(e) - at(events[0])), e.GetNode(),
			eventKind(e), dash(strings.Join(e.GetRecipients(), ", ")), dash(over(e)), dash(detail(e))}
		if c.format == "wide" {
			row = append(row, e.GetQueueId(), e.GetOriginId(), fmt.Sprint(e.GetTableVersion()), dash(e.GetLinkedId()))
		}
		rows = append(rows, row)
	}
	header := "TIME\tLATER\tNODE\tEVENT\tRECIPIENTS\tPEER\tDETAIL"
	if c.format == "wide" {
		header += "\tQUEUE ID\tORIGIN ID\tTABLE\tLINKED"
	}
	return c.table(w, header, rows)
}

// found lists events of many messages: who wrote to whom, and the ID to follow.
func (c *client) found(w io.Writer, events []*trackingv1.Event) error {
	var rows [][]string
	for _, e := range events {
		row := []string{time.UnixMicro(e.GetTimeUnixUs()).Format("2006-01-02 15:04:05.000"), e.GetNode(), eventKind(e), "<" + e.GetSender() + ">",
			dash(strings.Join(e.GetRecipients(), ", ")), dash(over(e)), "<" + e.GetMessageId() + ">"}
		if c.format == "wide" {
			row = append(row, e.GetQueueId(), e.GetOriginId(), dash(detail(e)))
		}
		rows = append(rows, row)
	}
	header := "TIME\tNODE\tEVENT\tSENDER\tRECIPIENTS\tPEER\tMESSAGE-ID"
	if c.format == "wide" {
		header += "\tQUEUE ID\tORIGIN ID\tDETAIL"
	}
	return c.table(w, header, rows)
}

func eventKind(e *trackingv1.Event) string {
	return strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_")
}

func over(e *trackingv1.Event) string {
	if e.GetConnector() == "" || e.GetConnector() == e.GetPeer() {
		return e.GetPeer()
	}
	return e.GetPeer() + " over " + e.GetConnector()
}

// detail leaves the status out where the reply that is quoted has it.
func detail(e *trackingv1.Event) string {
	if strings.Contains(e.GetDetail(), e.GetStatus()) {
		return e.GetDetail()
	}
	return strings.TrimSpace(e.GetStatus() + " " + e.GetDetail())
}

// later is the time since the first event, in the unit that fits.
func later(us int64) string {
	d := time.Duration(us) * time.Microsecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("+%.1f ms", float64(us)/1000)
	case d < time.Minute:
		return fmt.Sprintf("+%.1f s", d.Seconds())
	}
	return "+" + d.Round(time.Second).String()
}
