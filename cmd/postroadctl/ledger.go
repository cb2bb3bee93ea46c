package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

func nodeLedger(c *client) *cobra.Command {
	var oneNode bool
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Show what became of all mail that the nodes ever had, and whether that adds up",
		Long: `Show what became of all mail that the nodes ever had, and whether that adds up.

Numbers are messages/recipients. What came in less what ended must be queued, and
so much must be in the spool, which was counted at CHECKED: mail that came or
left since then makes no difference to the verdict. -o wide shows every line.

Exit code 1: a ledger does not balance.`,
		Args: needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := nodev1.NewNodeServiceClient(conn).Ledger(ctx, &nodev1.LedgerRequest{AllNodes: !oneNode})
			if err != nil {
				return err
			}
			done, err := c.message(cmd.OutOrStdout(), m)
			if !done {
				err = c.ledgers(cmd, m.GetNodes())
			}
			return firstError(err, unbalanced(m.GetNodes()), missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
	cmd.Flags().BoolVar(&oneNode, "one", false, "only the node that is asked")
	return cmd
}

func (c *client) ledgers(cmd *cobra.Command, nodes []*nodev1.NodeLedger) error {
	header := "NODE\tSINCE\tIN\tENDED\tQUEUED\tIN SPOOL\tCHECKED\tLEDGER"
	wide := c.format == "wide"
	var names []string
	if wide && len(nodes) > 0 {
		for _, l := range nodes[0].GetLines() {
			names = append(names, l.GetName())
			header += "\t" + strings.ToUpper(l.GetName())
		}
	}
	var rows [][]string
	for _, n := range nodes {
		var in, out nodev1.LedgerLine
		by := map[string]*nodev1.LedgerLine{}
		for _, l := range n.GetLines() {
			sum := &out
			if l.GetIn() {
				sum = &in
			}
			sum.Messages += l.GetMessages()
			sum.Recipients += l.GetRecipients()
			by[l.GetName()] = l
		}
		held, verdict := "-", "not checked yet"
		if n.GetCheckedUnixMs() != 0 {
			held, verdict = pair(n.GetHeld()), balance(n.GetImbalance())
		}
		row := []string{n.GetNode(), time.UnixMilli(n.GetSinceUnixMs()).Format(time.DateTime), pair(&in), pair(&out), pair(n.GetQueued()),
			held, when(n.GetCheckedUnixMs(), time.Now()), verdict}
		for _, name := range names {
			row = append(row, pair(by[name]))
		}
		rows = append(rows, row)
	}
	return c.table(cmd.OutOrStdout(), header, rows)
}

// pair is messages, then recipients.
func pair(l *nodev1.LedgerLine) string {
	return fmt.Sprintf("%d/%d", l.GetMessages(), l.GetRecipients())
}

func balance(why string) string {
	if why == "" {
		return "balanced"
	}
	return "IMBALANCE"
}

func unbalanced(nodes []*nodev1.NodeLedger) error {
	var errs []error
	for _, n := range nodes {
		if why := n.GetImbalance(); why != "" {
			errs = append(errs, fmt.Errorf("the ledger of %s does not balance: %s", n.GetNode(), why))
		}
	}
	return errors.Join(errs...)
}
