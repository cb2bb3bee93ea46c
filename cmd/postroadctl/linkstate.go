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
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

func linkstateList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the link state table, whether all nodes have the same, and this node's streams to its neighbours",
		Args:  needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := linkstatev1.NewLinkStateServiceClient(conn).List(ctx, &linkstatev1.ListRequest{AllNodes: true})
			if err != nil {
				return err
			}
			silent := missing(cmd.ErrOrStderr(), unanswered(m))
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, silent)
			}
			return firstError(c.linkState(cmd.OutOrStdout(), m, time.Now()), silent)
		}),
	}
}

// unanswered are the nodes that gave no digest, and why.
func unanswered(m *linkstatev1.ListResponse) map[string]string {
	all := make(map[string]string)
	for _, n := range m.GetNodes() {
		if n.GetError() != "" {
			all[n.GetNode()] = n.GetError()
		}
	}
	return all
}

func (c *client) linkState(w io.Writer, m *linkstatev1.ListResponse, now time.Time) error {
	names := make(map[string]string)
	for _, e := range m.GetEntries() {
		names[string(e.GetRecord().GetServer())] = e.GetServer()
	}
	var rows [][]string
	add := func(wide string, row ...string) {
		if c.format == "wide" {
			row = append(row, strings.Split(wide, "\t")...)
		}
		rows = append(rows, row)
	}
	for _, e := range m.GetEntries() {
		r, reason := e.GetRecord(), "-"
		if a := names[string(r.GetAccuser())]; a != "" {
			reason = "says " + a
		}
		add(fmt.Sprintf("%d.%d\t%s\t%s", r.GetIncarnation(), r.GetSequence(), dash(strings.TrimPrefix(word(r.GetDrain().String(), "DRAIN_"), "unspecified")), dash(r.GetVersion())),
			e.GetServer(), e.GetGroup(), word(r.GetStatus().String(), "STATUS_"), when(serverSince(e, now), now), reason)
		if c.format == "name" {
			continue
		}
		for _, k := range e.GetConnectors() {
			add("\t\t", "  "+k.GetConnector(), "", linkWord(r, k), when(k.GetSinceUnixMs(), now), dash(linkReason(k, now)))
		}
	}
	for _, name := range unheard(m) {
		add("-\t-\t-", name, "-", "unknown", "-", "nothing is heard of it: it never ran, or no connector joins its group to this one")
	}
	header := "SERVER / CONNECTOR\tGROUP\tSTATE\tSINCE\tREASON"
	if c.format == "wide" {
		header += "\tRECORD\tDRAIN\tSOFTWARE"
	}
	if err := c.table(w, header, rows); err != nil || c.format == "name" {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, n := range m.GetNodes() {
		if n.GetError() != "" {
			rows = append(rows, []string{n.GetNode(), "-", "-", "-", "no answer"})
			continue
		}
		verdict, digest := "same", n.GetDigest()
		if digest != m.GetDigest() {
			verdict = "DIFFERS from " + m.GetNode()
		}
		if c.format != "wide" {
			digest = short(digest)
		}
		rows = append(rows, []string{n.GetNode(), digest, fmt.Sprint(n.GetDirectoryRevision()), age(n.GetCatalogAgeMs()), verdict})
	}
	if err := c.table(w, "NODE\tDIGEST\tDIRECTORY REVISION\tCATALOG AGE\tTABLE", rows); err != nil {
		return err
	}
	return c.neighbours(w, m, now)
}

// unheard are the servers of the directory without a record.
func unheard(m *linkstatev1.ListResponse) []string {
	known := make(map[string]bool)
	for _, e := range m.GetEntries() {
		known[e.GetServer()] = true
	}
	var names []string
	for _, n := range m.GetNodes() {
		if !known[n.GetNode()] {
			names = append(names, n.GetNode())
		}
	}
	return names
}

// linkWord is what a bridgehead says of a link, or said last, if it is down.
func linkWord(r *linkstatev1.Record, k *linkstatev1.ConnectorEntry) string {
	word := upDown(k.GetUp())
	if r.GetStatus() == linkstatev1.Status_STATUS_DOWN {
		return "was " + word
	}
	return word
}

// serverSince is when a server came into its state: an incarnation is the second
// in which its process started; that it is down is known since the record changed.
func serverSince(e *linkstatev1.TableEntry, now time.Time) int64 {
	if e.GetRecord().GetStatus() == linkstatev1.Status_STATUS_ALIVE {
		return int64(e.GetRecord().GetIncarnation()) * 1000
	}
	return now.UnixMilli() - e.GetAgeMs()
}

// linkReason says why a connector is down, and when it may return if it flapped.
func linkReason(k *linkstatev1.ConnectorEntry, now time.Time) string {
	until := k.GetSuppressedUntilUnixMs()
	if until <= now.UnixMilli() { // never, or over: it fails still
		return k.GetReason()
	}
	return k.GetReason() + "; flapping, may return at " + time.UnixMilli(until).Format(time.TimeOnly)
}

func short(digest string) string {
	if len(digest) > 16 {
		return digest[:16]
	}
	return digest
}

func nodeList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show all nodes, the age of their catalogs and their back pressure",
		Args:  needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := nodev1.NewNodeServiceClient(conn).Nodes(ctx, &nodev1.NodesRequest{})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			var rows [][]string
			for _, n := range m.GetNodes() {
				etcd := "connected"
				if !n.GetDirectoryConnected() {
					etcd = "AWAY"
				}
				rows = append(rows, []string{n.GetName(), n.GetGroup(), n.GetSmtpAddress(), fmt.Sprint(n.GetPid()),
					age(time.Now().UnixMilli() - n.GetStartedUnixMs()), etcd, fmt.Sprint(n.GetDirectoryRevision()), age(n.GetCatalogAgeMs()),
					pressureText(n), balance(n.GetLedgerImbalance()), fmt.Sprint(n.GetQueued()), n.GetVersion()})
			}
			return firstError(c.table(cmd.OutOrStdout(), "NODE\tGROUP\tSMTP\tPID\tUPTIME\tETCD\tREVISION\tCATALOG AGE\tPRESSURE\tLEDGER\tQUEUED\tVERSION", rows),
				missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
}

// pressureText is the level of back pressure, and of which resources.
func pressureText(n *nodev1.StatusResponse) string {
	var short []string
	for _, p := range n.GetPressure() {
		if p.GetLevel() != "normal" {
			short = append(short, p.GetResource())
		}
	}
	if len(short) == 0 {
		return n.GetBackPressure()
	}
	return n.GetBackPressure() + " (" + strings.Join(short, ", ") + ")"
}
