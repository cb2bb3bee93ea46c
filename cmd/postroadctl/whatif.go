package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func topologyWhatIf(c *client) *cobra.Command {
	var down, costs, drains []string
	var file, size string
	var meant topologyv1.WhatIfRequest
	cmd := &cobra.Command{
		Use:   "whatif",
		Short: "Say which ways mail would take if something changed; nothing is changed",
		Long: `Say which ways mail would take if connectors were down, cost otherwise, servers or
connectors were drained, or a file were applied: pairs of groups and address
spaces whose way or cost changes, and groups that would be cut off; and how much mail
of the last 24 hours took the ways that change, over all nodes. The asked node
decides for each group with the code that routes mail. All flags may be given
together and again. --cost sets what a connector costs towards each group it leads
to and for each of its address spaces.

The ways are those of a small message of normal priority from a sender whom no list
names; --size, --priority, --system and --sender ask for others. The amounts of the
last 24 hours are those of all mail.`,
		Example: `  postroadctl topology whatif --down paris-berlin --down berlin-paris
  postroadctl topology whatif --drain berlin-1 --cost paris-oslo=5
  postroadctl topology whatif --down satellite --size 20M
  postroadctl topology whatif --apply org.yaml -o json`,
		Args: needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			req, err := whatIfRequest(down, costs, drains)
			if err != nil {
				return &failure{err, exitUsage}
			}
			req.Sender, req.Priority, req.System, req.Limit = meant.Sender, meant.Priority, meant.System, meant.Limit
			if req.Size, err = octets(size); err != nil {
				return &failure{err, exitUsage}
			}
			if file != "" {
				if req.Objects, err = readObjects(cmd, file); err != nil {
					return &failure{err, exitUsage}
				}
			}
			if len(down)+len(costs)+len(drains) == 0 && file == "" {
				return &failure{fmt.Errorf("nothing is supposed: give --down, --cost, --drain or --apply"), exitUsage}
			}
			m, err := topologyv1.NewTopologyServiceClient(conn).WhatIf(ctx, req)
			if err != nil {
				return err
			}
			silent := missing(cmd.ErrOrStderr(), m.GetMissing())
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, silent)
			}
			return firstError(printEffects(cmd.OutOrStdout(), c, m), silent)
		}),
	}
	f := cmd.Flags()
	f.StringArrayVar(&down, "down", nil, "CONNECTOR that would be down")
	f.StringArrayVar(&costs, "cost", nil, "CONNECTOR=N, 1 to 100")
	f.StringArrayVar(&drains, "drain", nil, "SERVER or CONNECTOR that would be drained; NAME=soft for softly")
	f.StringVar(&file, "apply", "", "YAML file that would be applied, - for standard input")
	f.StringVar(&meant.Sender, "sender", "", "envelope sender, as connectors with sender lists see it; \"<>\" for a report")
	f.StringVar(&size, "size", "0", "message size in octets, or 500K, 5M, 1G")
	f.StringVar(&meant.Priority, "priority", "", "low, normal or high")
	f.BoolVar(&meant.System, "system", false, "a report or another message of the transport itself")
	f.Int32Var(&meant.Limit, "limit", 0, "at most this many changes of each kind (default 1000)")
	return cmd
}

func whatIfRequest(down, costs, drains []string) (*topologyv1.WhatIfRequest, error) {
	req := &topologyv1.WhatIfRequest{Down: down}
	for _, s := range costs {
		name, number, ok := strings.Cut(s, "=")
		n, err := strconv.ParseInt(number, 10, 32)
		if !ok || name == "" || err != nil || n < 1 || n > 100 {
			return nil, fmt.Errorf("--cost %s: must be CONNECTOR=N, N from 1 to 100", s)
		}
		req.Costs = append(req.Costs, &topologyv1.NewCost{Connector: name, Cost: int32(n)})
	}
	for _, s := range drains {
		name, mode, given := strings.Cut(s, "=")
		if name == "" || given && mode != "soft" && mode != "hard" {
			return nil, fmt.Errorf("--drain %s: must be NAME, NAME=soft or NAME=hard", s)
		}
		req.Drains = append(req.Drains, &topologyv1.NewDrain{Name: name, Mode: mode})
	}
	return req, nil
}

// effectsOf asks what a change of the directory would do to the ways of mail; nil
// if it concerns none. The objects are as the directory would store them, but
// without revisions: the node may not have seen the last ones yet.
func effectsOf(ctx context.Context, conn grpc.ClientConnInterface, changes []*directoryv1.Change) (*topologyv1.WhatIfResponse, error) {
	req := &topologyv1.WhatIfRequest{}
	for _, ch := range changes {
		// Recipients and accounts have no part in routing, and secrets are not shown.
		if o := ch.GetAfter(); o != nil && o.GetRecipient() == nil && o.GetAccount() == nil && ch.GetAction() != directoryv1.Action_ACTION_UNCHANGED {
			o = proto.CloneOf(o)
			o.GetMetadata().Revision = 0
			req.Objects = append(req.Objects, o)
		}
	}
	if len(req.Objects) == 0 {
		return nil, nil
	}
	return topologyv1.NewTopologyServiceClient(conn).WhatIf(ctx, req)
}

func printEffects(w io.Writer, c *client, m *topologyv1.WhatIfResponse) error {
	for _, k := range m.GetTakeovers() {
		side := "send"
		if k.GetRemote() {
			side = "receive"
		}
		fmt.Fprintf(w, "BRIDGEHEADS: of %s then %s: %s; now: %s\n", k.GetConnector(), side, strings.Join(k.GetAfter(), ", "), strings.Join(k.GetBefore(), ", "))
	}
	if m.GetMovedWays()+m.GetMovedSpaces() == 0 && len(m.GetCutOff()) == 0 {
		_, err := fmt.Fprintln(w, "No mail would take another way.")
		return err
	}
	for _, k := range m.GetCutOff() {
		fmt.Fprintf(w, "CUT OFF: group %s %s\n", k.GetGroup(), cutWords(k))
	}
	var rows [][]string
	for _, m := range m.GetWays() {
		rows = append(rows, []string{m.GetFrom(), m.GetTo(), wayWords(m.GetBefore()), wayWords(m.GetAfter()), load(m.GetMessages(), m.GetBytes())})
	}
	for _, m := range m.GetSpaces() {
		rows = append(rows, []string{m.GetFrom(), m.GetAddressSpace(), exitWords(m.GetBefore()), exitWords(m.GetAfter()), load(m.GetMessages(), m.GetBytes())})
	}
	if len(rows) > 0 {
		if err := c.table(w, "FROM\tTO\tNOW\tTHEN\tLAST 24 H", rows); err != nil {
			return err
		}
	}
	if more := int(m.GetMovedWays()+m.GetMovedSpaces()) - len(rows); more > 0 {
		fmt.Fprintf(w, "and %d more; --limit shows them\n", more)
	}
	if c.format == "name" {
		return nil
	}
	fmt.Fprintf(w, "\nLoad moved, by the last 24 hours: %s.\n", load(m.GetMessages(), m.GetBytes()))
	rows = nil
	for _, k := range m.GetLoads() {
		rows = append(rows, []string{k.GetConnector(), load(k.GetMessages(), k.GetBytes()), fmt.Sprintf("%+d", k.GetMessagesDelta()), signed(k.GetBytesDelta())})
	}
	if len(rows) == 0 {
		return nil
	}
	return c.table(w, "CONNECTOR\tLAST 24 H\tMESSAGES\tSIZE", rows)
}

func cutWords(k *topologyv1.CutOff) string {
	switch {
	case k.GetInbound() && k.GetOutbound():
		return "could neither be reached nor send"
	case k.GetInbound():
		return "could no longer be reached"
	}
	return "could no longer send to any other"
}

func wayWords(w *topologyv1.Way) string {
	if w.GetCost() < 0 {
		return "no way"
	}
	s := fmt.Sprintf("%d: %s", w.GetCost(), strings.Join(w.GetPath(), " → "))
	if w.GetHeldBy() != "" {
		s += " (waits for " + w.GetHeldBy() + ")"
	}
	return s
}

func exitWords(e *topologyv1.Exit) string {
	if e.GetConnector() == "" {
		return strings.TrimSuffix(e.GetResult()+" ("+e.GetReason()+")", " ()")
	}
	s := fmt.Sprintf("%d: %s over %s", e.GetCost(), strings.Join(e.GetPath(), " → "), e.GetConnector())
	if e.GetReason() != "" {
		s += " (" + e.GetReason() + ")"
	}
	return s
}
