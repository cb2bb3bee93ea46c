package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

func linkstateList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the link state table, and whether all nodes have the same",
		Args:  cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := linkstatev1.NewLinkStateServiceClient(conn).List(ctx, &linkstatev1.ListRequest{AllNodes: true})
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			return c.linkState(cmd.OutOrStdout(), m)
		}),
	}
}

func (c *client) linkState(w io.Writer, m *linkstatev1.ListResponse) error {
	var rows [][]string
	for _, e := range m.GetEntries() {
		r := e.GetRecord()
		rows = append(rows, []string{e.GetServer(), e.GetGroup(), word(r.GetStatus().String(), "STATUS_"),
			fmt.Sprintf("%d.%d", r.GetIncarnation(), r.GetSequence()), age(e.GetAgeMs()), ""})
		for _, k := range e.GetConnectors() {
			rows = append(rows, []string{"  " + k.GetConnector(), "", upDown(k.GetUp()), "",
				age(time.Now().UnixMilli() - k.GetSinceUnixMs()), linkReason(k)})
		}
	}
	if err := c.table(w, "SERVER / CONNECTOR\tGROUP\tSTATE\tVERSION\tSINCE\tREASON", rows); err != nil || c.format == "name" {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, n := range m.GetNodes() {
		verdict := "same"
		switch {
		case n.GetError() != "":
			verdict = n.GetError()
		case n.GetDigest() != m.GetDigest():
			verdict = "DIFFERS from " + m.GetNode()
		}
		rows = append(rows, []string{n.GetNode(), dash(short(n.GetDigest())), fmt.Sprint(n.GetDirectoryRevision()), age(n.GetCatalogAgeMs()), verdict})
	}
	return c.table(w, "NODE\tDIGEST\tDIRECTORY REVISION\tCATALOG AGE\tTABLE", rows)
}

// linkReason says why a connector is down, and when it may return if it flapped.
func linkReason(k *linkstatev1.ConnectorEntry) string {
	until := k.GetSuppressedUntilUnixMs()
	if until == 0 {
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
		Args:  cobra.NoArgs,
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
					n.GetBackPressure(), fmt.Sprint(n.GetQueued()), n.GetVersion()})
			}
			return firstError(c.table(cmd.OutOrStdout(), "NODE\tGROUP\tSMTP\tPID\tUPTIME\tETCD\tREVISION\tCATALOG AGE\tPRESSURE\tQUEUED\tVERSION", rows),
				missing(cmd.ErrOrStderr(), m.GetMissing()))
		}),
	}
}
