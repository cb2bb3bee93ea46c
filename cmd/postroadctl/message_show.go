package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func messageShow(c *client) *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Say when a waiting message will leave, and what keeps it",
		Long: `Say when a waiting message will leave, and what keeps it: orders of administrators, rules, schedules, a link that
failed, its own retry; how many are before it, what was answered to the last attempt, when its sender is told of the delay and when
it is given up. ID is its queue ID ('queue messages', the 250 that it got) or its Message-ID. All nodes are asked.`,
		Args: needs("ID"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req := &queuev1.ShowRequest{Message: args[0]}
			req.Node, req.AllNodes = c.meant(server)
			m, err := queuev1.NewQueueServiceClient(conn).Show(ctx, req)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if done, err := c.message(w, m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			for i, o := range m.GetOutlooks() {
				if c.format == "name" {
					fmt.Fprintln(w, o.GetMessage().GetQueueId())
					continue
				}
				if i > 0 {
					fmt.Fprintln(w)
				}
				if err := outlook(w, o, time.Now()); err != nil {
					return err
				}
			}
			return missing(cmd.ErrOrStderr(), m.GetMissing())
		}),
	}
	c.serverFlag(cmd, &server)
	return cmd
}

// outlook prints what is known of a message in one queue.
func outlook(w io.Writer, o *queuev1.Outlook, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, cell(fmt.Sprintf(format, args...)))
	}
	m := o.GetMessage()
	line("message", "%s on %s, <%s>, %s", m.GetQueueId(), m.GetNode(), m.GetMessageId(), size(m.GetSize()))
	line("from", "<%s>, accepted %s", m.GetSender(), momentOf(m.GetReceivedUnixMs(), now))
	line("to", "%s", dash(strings.Join(m.GetRecipients(), ", ")))
	queue := m.GetQueue() + ", " + m.GetKind()
	if m.GetDestination() != "" {
		queue += ", " + m.GetDestination()
	}
	if o.GetClass() != "" {
		queue += ", " + o.GetClass()
	}
	line("queue", "%s", queue)
	if m.GetNextHop() != "" {
		hop := m.GetNextHop()
		if m.GetConnector() != "" {
			hop += " over " + m.GetConnector()
		}
		if m.GetVirtualServer() != "" {
			hop += ", by virtual server " + m.GetVirtualServer()
		}
		line("next hop", "%s, %s", hop, count(int(o.GetConnections()), "connection"))
	}
	line("state", "%s", dash(m.GetState()))
	line("leaves", "%s", leaves(o, now))
	for _, b := range o.GetBlocks() {
		until := ""
		if b.GetUntilUnixMs() != 0 {
			until = ", until " + momentOf(b.GetUntilUnixMs(), now)
		}
		line("waits for", "%s: %s%s", b.GetKind(), b.GetText(), until)
	}
	if m.GetKind() != "" && o.GetClass() != "" {
		more := ""
		if o.GetAheadOpen() {
			more = " or more"
		}
		line("before it", "%s%s of its queue; %s of other queues want the same next hop", count64(o.GetAhead(), "message", "messages"), more, fmt.Sprint(o.GetBeside()))
		line("attempts", "%d; after the next failure it waits %s", m.GetAttempts(), age(o.GetRetryAfterMs()))
	}
	for _, a := range o.GetAttempts() {
		line("last answer", "%s, %s: %s", a.GetRecipient(), momentOf(a.GetAtUnixMs(), now), answer(a))
	}
	still := ""
	if m.GetHold() != "" {
		still = ", if it were let go now"
	}
	switch {
	case o.GetDelayNotified():
		line("delay notice", "sent")
	case o.GetDelayNoticeUnixMs() != 0:
		line("delay notice", "%s%s", momentOf(o.GetDelayNoticeUnixMs(), now), still)
	}
	if o.GetDeliverByUnixMs() != 0 {
		line("deliver by", "%s", momentOf(o.GetDeliverByUnixMs(), now))
	}
	if o.GetExpiresUnixMs() != 0 {
		line("expires", "%s%s", momentOf(o.GetExpiresUnixMs(), now), still)
	}
	return t.Flush()
}

// leaves is the answer to "when will it leave?".
func leaves(o *queuev1.Outlook, now time.Time) string {
	switch {
	case o.GetInFlight() && len(o.GetBlocks()) == 0:
		return "it is being sent, or worked on, at this moment"
	case o.GetInFlight():
		return "an attempt is under way; what is left of it then waits"
	case o.GetLeavesUnixMs() == 0 && len(o.GetBlocks()) == 0:
		return "it has just gone on; ask again"
	case o.GetLeavesUnixMs() == 0:
		return "nothing says when"
	case o.GetLeavesUnixMs() <= now.UnixMilli():
		return "now, when its turn comes"
	}
	return momentOf(o.GetLeavesUnixMs(), now)
}

func answer(a *queuev1.LastAttempt) string {
	text := a.GetText()
	if !strings.Contains(text, a.GetStatus()) {
		text = strings.TrimSpace(a.GetStatus() + " " + text)
	}
	if a.GetRemote() != "" {
		text += " (" + a.GetRemote() + ")"
	}
	return text
}

// momentOf is a time and how far it is from now.
func momentOf(ms int64, now time.Time) string {
	return time.UnixMilli(ms).Format(time.DateTime) + " (" + when(ms, now) + ")"
}
