package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func routeLog(c *client) *cobra.Command {
	req := &topologyv1.HistoryRequest{}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "List the last changes of a node's routing table, newest first",
		Long: `List the last changes of a node's routing table, newest first: when, what changed,
how long the table took to build, and how many destinations (servers and address
spaces) got another next hop. -o wide names some of these. A node keeps the last
256 changes, over restarts; route explain --at asks one of these tables.`,
		Example: "  postroadctl route log --limit 20\n  postroadctl route log --from berlin-1 -o wide",
		Args:    needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			m, err := topologyv1.NewTopologyServiceClient(conn).History(ctx, req)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return err
			}
			header := "TABLE\tTIME\tBUILT IN\tMOVED\tTRIGGER"
			if c.format == "wide" {
				header += "\tREVISION"
			}
			return c.table(cmd.OutOrStdout(), header, c.changes(m.GetChanges()))
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.From, "from", "", "server whose table is meant (default: the node that is asked)")
	f.Int32Var(&req.Limit, "limit", 0, "at most this many (default all that are kept)")
	return cmd
}

// changes gives one row for each change, and one for each further trigger or
// example below it.
func (c *client) changes(list []*topologyv1.TableChange) [][]string {
	var rows [][]string
	for _, k := range list {
		more := k.GetTriggers()
		if c.format == "wide" {
			for _, e := range k.GetExamples() {
				more = append(more, "  "+e)
			}
		}
		first := ""
		if len(more) > 0 {
			first, more = more[0], more[1:]
		}
		moved := "-"
		if k.GetDestinations() > 0 {
			moved = fmt.Sprintf("%d of %d", k.GetMoved(), k.GetDestinations())
		}
		took := time.Duration(k.GetBuildUs()) * time.Microsecond
		row := []string{fmt.Sprint(k.GetTableVersion()), time.UnixMilli(k.GetTimeUnixMs()).Format("2006-01-02 15:04:05.000"), took.String(), moved, first}
		if c.format == "wide" {
			row = append(row, fmt.Sprint(k.GetDirectoryRevision()))
		}
		rows = append(rows, row)
		if c.format == "name" {
			continue
		}
		for _, l := range more {
			rows = append(rows, []string{"", "", "", "", strings.TrimRight(l, " ")})
		}
	}
	return rows
}
