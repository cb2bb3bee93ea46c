package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func routeExplain(c *client) *cobra.Command {
	req := &topologyv1.ExplainRequest{}
	var at, size string
	cmd := &cobra.Command{
		Use:   "explain ADDRESS",
		Short: "Say which way mail to an address goes, and why the others lost",
		Long: `Say which way mail to an address goes, and why the others lost.

With --at the answer is that of a table that decided before: by its version, as route log and
tracking have it, or by a time: 2026-05-04T12:30:00Z, "2026-05-04 12:30" and 12:30 (local), or how long
ago, 90m. A node keeps what its last 256 tables were made of, at most 16 MiB, over restarts; the error
says which is the oldest. What the address means (its mailbox, the members of a group) is that of now.`,
		Example: "  postroadctl route explain olav@example.test --from paris-1\n  postroadctl route explain someone@example.net --size 5M --priority low\n" +
			"  postroadctl route explain someone@example.net --sender trainee@example.test\n  postroadctl route explain olav@example.test --at 90m",
		Args: needs("ADDRESS"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req.Address = args[0]
			if err := setAt(req, at, time.Now()); err != nil {
				return &failure{err, exitUsage}
			}
			var err error
			if req.Size, err = octets(size); err != nil {
				return &failure{err, exitUsage}
			}
			m, err := topologyv1.NewTopologyServiceClient(conn).Explain(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			explain(cmd.OutOrStdout(), m)
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.From, "from", "", "server whose view is wanted (default: the node that is asked)")
	f.StringVar(&req.Sender, "sender", "", "envelope sender, as connectors with sender lists see it; \"<>\" for a report")
	f.StringVar(&size, "size", "0", "message size in octets, or 500K, 5M, 1G")
	f.StringVar(&at, "at", "", "version or time of the routing table (default: now)")
	f.StringVar(&req.Priority, "priority", "", "low, normal or high")
	f.BoolVar(&req.System, "system", false, "a report or another message of the transport itself")
	return cmd
}

// setAt reads which table is meant.
func setAt(req *topologyv1.ExplainRequest, at string, now time.Time) error {
	if at == "" {
		return nil
	}
	if v, err := strconv.ParseUint(at, 10, 64); err == nil {
		req.At = &topologyv1.ExplainRequest_AtVersion{AtVersion: v}
		return nil
	}
	t, err := moment(at, now)
	if err == nil {
		req.At = &topologyv1.ExplainRequest_AtUnixMs{AtUnixMs: t.UnixMilli()}
	}
	return err
}

// moment reads a time that has been.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("--at %s: must be a version (871), a time (2026-05-04T12:30:00Z, \"2026-05-04 12:30\", 12:30) or how long ago (90m)", s)
}

// octets reads a size: a number, or one with K, M or G for powers of 1024.
func octets(s string) (int64, error) {
	digits, shift := s, 0
	if i := strings.IndexAny(s, "KMGkmg"); i >= 0 && i == len(s)-1 {
		digits, shift = s[:i], map[byte]int{'k': 10, 'm': 20, 'g': 30}[s[i]|0x20]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("--size %s: must be a number of octets, or one with K, M or G", s)
	}
	return n << shift, nil
}

func explain(w io.Writer, m *topologyv1.ExplainResponse) {
	fmt.Fprintf(w, "%s, seen from %s (%s)\n", m.GetAddress(), m.GetNode(), tableWords(m))
	for _, l := range m.GetCategory() {
		fmt.Fprintf(w, "  %s\n", l)
	}
	for _, r := range m.GetRoutes() {
		fmt.Fprintf(w, "\n%s: %s", r.GetRecipient(), way(r))
		if len(r.GetPath()) > 1 {
			fmt.Fprintf(w, ", cost %d: %s", r.GetCost(), strings.Join(r.GetPath(), " → "))
		}
		fmt.Fprintln(w)
		for _, l := range r.GetReasons() {
			if l != "" {
				fmt.Fprintf(w, "  %s\n", l)
			}
		}
		if r.GetVirtualServer() != "" {
			fmt.Fprintf(w, "  %s sends it by virtual server %s\n", m.GetNode(), r.GetVirtualServer())
		}
		for _, k := range r.GetCandidates() {
			fmt.Fprintf(w, "  %s %-18s %s\n", chosen(k.GetChosen()), k.GetConnector(), candidate(k))
		}
		width := 0
		for _, b := range r.GetBridgeheads() {
			width = max(width, len(b.GetServer()))
		}
		for _, b := range r.GetBridgeheads() {
			fmt.Fprintf(w, "  %s bridgehead %-*s %-4s weight %016x; %s\n", chosen(b.GetChosen()), width, b.GetServer(), upDown(b.GetUp()), b.GetWeight(), b.GetReason())
		}
	}
}

// tableWords says which table gave the answer.
func tableWords(m *topologyv1.ExplainResponse) string {
	const layout = "2006-01-02 15:04:05"
	table := fmt.Sprintf("routing table %d", m.GetTableVersion())
	switch {
	case m.GetFromUnixMs() == 0:
		return fmt.Sprintf("%s, catalog %s old", table, age(m.GetCatalogAgeMs()))
	case m.GetUntilUnixMs() == 0:
		return fmt.Sprintf("%s, since %s", table, time.UnixMilli(m.GetFromUnixMs()).Format(layout))
	}
	return fmt.Sprintf("%s, from %s to %s", table, time.UnixMilli(m.GetFromUnixMs()).Format(layout), time.UnixMilli(m.GetUntilUnixMs()).Format(layout))
}

// way is the result in words.
func way(r *topologyv1.Route) string {
	var s string
	switch r.GetResult() {
	case "local":
		return "local delivery"
	case "failed", "unreachable":
		return r.GetResult()
	case "node":
		s = "to node " + r.GetNextHop()
	default:
		s = "by " + r.GetResult()
		if hop := r.GetNextHop(); hop != "" && hop != r.GetConnector() {
			s = "by " + hop // which says itself what it is
		}
	}
	if r.GetConnector() != "" {
		s += " over " + r.GetConnector()
	}
	return s
}

func candidate(k *topologyv1.Candidate) string {
	var parts []string
	if k.GetAddressSpace() != "" {
		parts = append(parts, k.GetAddressSpace())
	}
	if k.GetCost() >= 0 {
		parts = append(parts, fmt.Sprintf("cost %d", k.GetCost()))
	}
	if len(k.GetPath()) > 0 {
		parts = append(parts, strings.Join(k.GetPath(), " → "))
	}
	return strings.Join(append(parts, k.GetReason()), "; ")
}

func chosen(yes bool) string {
	if yes {
		return "✓"
	}
	return "✗"
}
