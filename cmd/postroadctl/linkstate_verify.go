package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func linkstateGet(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "get SERVER",
		Short: "Show what the asked node knows of one server and its connectors",
		Args:  needs("SERVER"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			m, err := linkstatev1.NewLinkStateServiceClient(conn).Get(ctx, &linkstatev1.GetRequest{Server: args[0]})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			return c.linkStateEntry(cmd.OutOrStdout(), m)
		}),
	}
}

func (c *client) linkStateEntry(w io.Writer, m *linkstatev1.GetResponse) error {
	e, r, now := m.GetEntry(), m.GetEntry().GetRecord(), time.Now()
	state := word(r.GetStatus().String(), "STATUS_")
	if m.GetAccuser() != "" {
		state += ", says " + m.GetAccuser()
	}
	drain := "none"
	if r.GetDrain() != linkstatev1.Drain_DRAIN_UNSPECIFIED {
		drain = word(r.GetDrain().String(), "DRAIN_")
	}
	if err := c.table(w, "FIELD\tVALUE", [][]string{
		{"server", e.GetServer()}, {"group", e.GetGroup()}, {"state", state},
		{"changed", ago(r.GetSinceUnixMs(), now)}, {"seen here", age(e.GetAgeMs()) + " ago"},
		{"incarnation", fmt.Sprint(r.GetIncarnation())}, {"sequence", fmt.Sprint(r.GetSequence())},
		{"drain", drain}, {"version", dash(r.GetVersion())}, {"as known to", m.GetNode()},
	}); err != nil || c.format == "name" || len(e.GetConnectors()) == 0 {
		return err
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, k := range e.GetConnectors() {
		rows = append(rows, []string{k.GetConnector(), linkWord(r, k), ago(k.GetSinceUnixMs(), now), dash(linkReason(k, now))})
	}
	return c.table(w, "CONNECTOR\tSTATE\tSINCE\tREASON", rows)
}

// ago is the distance to a Unix time in milliseconds, by this host's clock.
func ago(ms int64, now time.Time) string {
	if ms == 0 {
		return "-"
	}
	return age(max(now.UnixMilli()-ms, 0)) + " ago"
}

func linkstateDiff(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "diff NODE NODE",
		Short: "Compare the link state tables of two nodes; exit code 1 if they differ",
		Args:  needs("NODE", "a second NODE"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			m, err := linkstatev1.NewLinkStateServiceClient(conn).Diff(ctx, &linkstatev1.DiffRequest{NodeA: args[0], NodeB: args[1]})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, differ(m))
			}
			return firstError(c.linkStateDiff(cmd.OutOrStdout(), m), differ(m))
		}),
	}
}

func (c *client) linkStateDiff(w io.Writer, m *linkstatev1.DiffResponse) error {
	if len(m.GetDifferences()) == 0 && m.GetDigestA() == m.GetDigestB() {
		_, err := fmt.Fprintf(w, "%s and %s have the same table, digest %s\n", m.GetNodeA(), m.GetNodeB(), short(m.GetDigestA()))
		return err
	}
	var rows [][]string
	for _, d := range m.GetDifferences() {
		rows = append(rows, []string{d.GetServer(), dash(d.GetConnector()), d.GetField(), dash(d.GetValueA()), dash(d.GetValueB())})
	}
	return c.table(w, fmt.Sprintf("SERVER\tCONNECTOR\tFIELD\tON %s\tON %s", m.GetNodeA(), m.GetNodeB()), rows)
}

func differ(m *linkstatev1.DiffResponse) error {
	switch n := len(m.GetDifferences()); {
	case n > 0:
		return &failure{fmt.Errorf("%s and %s differ in %s", m.GetNodeA(), m.GetNodeB(), count(n, "statement")), exitFailed}
	case m.GetDigestA() != m.GetDigestB():
		return &failure{fmt.Errorf("%s and %s differ in what only a newer version can read", m.GetNodeA(), m.GetNodeB()), exitFailed}
	}
	return nil
}

func linkstateValidate(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check that all nodes agree and that the map has no holes; exit code 1 if a check fails",
		Args:  needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := linkstatev1.NewLinkStateServiceClient(conn).Validate(ctx, &linkstatev1.ValidateRequest{})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, verdict(m))
			}
			for _, k := range m.GetChecks() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", strings.ToUpper(word(k.GetResult().String(), "CHECK_RESULT_")), k.GetName())
				for _, d := range k.GetDetails() {
					fmt.Fprintf(cmd.OutOrStdout(), "      %s\n", d)
				}
			}
			return verdict(m)
		}),
	}
}

func verdict(m *linkstatev1.ValidateResponse) error {
	failed := 0
	for _, k := range m.GetChecks() {
		if k.GetResult() != linkstatev1.CheckResult_CHECK_RESULT_PASS {
			failed++
		}
	}
	if failed > 0 {
		return &failure{fmt.Errorf("%d of %d checks failed, as %s sees it", failed, len(m.GetChecks()), m.GetNode()), exitFailed}
	}
	return nil
}
