package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func nodeOutbound(c *client) *cobra.Command {
	return group("outbound", "Everything that leaves a node",
		outboundCommand(c, true, &cobra.Command{
			Use:   "disable [NODE]",
			Short: "Hold all mail that leaves the node; local delivery goes on",
			Long: `Hold all mail that leaves the node, for other nodes too, until 'node outbound enable', over restarts too. It takes mail
in as ever, and delivers to its own mailboxes. Delay notices and expiration go on.`,
		}),
		outboundCommand(c, false, &cobra.Command{Use: "enable [NODE]", Short: "Let mail leave the node again"}))
}

func outboundCommand(c *client, disable bool, cmd *cobra.Command) *cobra.Command {
	var f actFlags
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if disable && f.reason == "" && !f.dryRun {
			return errors.New("node outbound disable: say why: --reason TEXT goes into the logs and the lists")
		}
		return cobra.MaximumNArgs(1)(cmd, args)
	}
	cmd.RunE = c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
		req := &queuev1.OutboundRequest{Disable: disable, Reason: f.reason, By: operator(), Node: c.node, AllNodes: f.allNodes}
		if len(args) > 0 {
			req.Node = args[0]
		}
		ask := func(dry bool) (*queuev1.OutboundResponse, error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.patience(cmd))
			defer cancel()
			req.DryRun = dry
			if req.Reason = f.reason; dry && f.reason == "" {
				req.Reason = "dry run"
			}
			return queuev1.NewQueueServiceClient(conn).Outbound(ctx, req)
		}
		m, err := ask(f.dryRun || !f.yes)
		if err != nil {
			return err
		}
		if !f.dryRun && !f.yes {
			_ = missing(cmd.ErrOrStderr(), m.GetMissing()) // they are not in the words, but the order is for them too
			fmt.Fprint(cmd.ErrOrStderr(), outboundWords(m, disable))
			if err := confirmed(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			if m, err = ask(false); err != nil {
				return err
			}
		}
		if done, err := c.message(cmd.OutOrStdout(), m); done || err != nil {
			return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
		}
		text := outboundWords(m, disable)
		if f.dryRun {
			text += " (dry run)"
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return missing(cmd.ErrOrStderr(), m.GetMissing())
	})
	f.common(cmd)
	return cmd
}

func outboundWords(m *queuev1.OutboundResponse, disable bool) string {
	var names []string
	var messages int64
	for _, r := range m.GetResults() {
		messages += r.GetMessages()
		name := r.GetNode()
		if r.GetDisabled() == r.GetWasDisabled() {
			name += " (already)"
		}
		names = append(names, name)
	}
	verb := "enable"
	if disable {
		verb = "disable"
	}
	return fmt.Sprintf("%s outbound mail of %s: %s", verb, strings.Join(names, ", "), count64(messages, "message waits", "messages wait"))
}
