package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/directory"
)

func virtualServerList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list [NAME]",
		Short: "Show what runs, where it listens, and what does not work and why",
		Long: `Show the virtual servers of all nodes: running, paused, stopped; degraded when a
part does not work or an earlier state runs on because the present one cannot;
failed when nothing works.`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req := &nodev1.ObjectsRequest{Kind: directory.KindVirtualServer, AllNodes: true}
			if len(args) > 0 {
				req.Name = args[0]
			}
			resp, err := nodev1.NewNodeServiceClient(conn).Objects(ctx, req)
			if err != nil {
				return err
			}
			silent := missing(cmd.ErrOrStderr(), resp.GetMissing())
			if req.Name != "" && len(resp.GetObjects()) == 0 && silent == nil {
				return status.Errorf(codes.NotFound, "no node runs a virtual server called %s; `postroadctl get VirtualServer` lists them", req.Name)
			}
			if done, err := c.message(cmd.OutOrStdout(), resp); done {
				return firstError(err, silent)
			}
			return firstError(c.virtualServers(cmd.OutOrStdout(), resp.GetObjects(), time.Now()), silent)
		}),
	}
}

func (c *client) virtualServers(w io.Writer, list []*nodev1.ObjectStatus, now time.Time) error {
	var rows [][]string
	for _, o := range list {
		rows = append(rows, []string{
			o.GetName(), o.GetNode(), o.GetState(), when(o.GetSinceUnixMs(), now), strconv.Itoa(int(o.GetConnections())),
			dash(strings.Join(o.GetAddresses(), " ")), dash(o.GetReason()),
		})
	}
	return c.table(w, "VIRTUAL SERVER\tNODE\tSTATE\tSINCE\tCONNECTIONS\tLISTENS ON\tREASON", rows)
}

// virtualServerState makes a command that writes another state into the object;
// the nodes follow the directory.
func virtualServerState(c *client, verb, short, long string, state directoryv1.RunState) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Long:  long,
		Args:  cobra.MinimumNArgs(1),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			d := directoryv1.NewDirectoryServiceClient(conn)
			var objs []*directoryv1.Object
			for _, name := range args {
				got, err := d.Get(ctx, &directoryv1.GetRequest{Kind: directory.KindVirtualServer, Name: name})
				if err != nil {
					return err
				}
				for _, o := range got.GetObjects() {
					// The revision stays in the object: who changes it meanwhile wins, and this fails.
					o.GetVirtualServer().State = state
					objs = append(objs, o)
				}
			}
			resp, err := d.Apply(ctx, &directoryv1.ApplyRequest{Objects: objs})
			if err != nil {
				return refused(err)
			}
			if done, err := c.message(cmd.OutOrStdout(), resp); done {
				return err
			}
			for _, ch := range resp.GetChanges() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", key(ch), word(ch.GetAfter().GetVirtualServer().GetState().String(), "RUN_STATE_"))
			}
			return nil
		}),
	}
}

func virtualServerCommand(c *client) *cobra.Command {
	return group("virtualserver", "SMTP listeners: what runs, and starting, pausing and stopping them",
		virtualServerList(c),
		virtualServerState(c, "start", "Listen and take connections",
			"Set the state of virtual servers to started.", directoryv1.RunState_RUN_STATE_STARTED),
		virtualServerState(c, "pause", "Refuse new connections, let existing ones go on",
			"Set the state of virtual servers to paused: new connections are refused with 421,\nexisting ones go on.", directoryv1.RunState_RUN_STATE_PAUSED),
		virtualServerState(c, "stop", "Stop listening; connections end after the message they are at",
			"Set the state of virtual servers to stopped: nothing listens, and connections end\nafter the message that they are at.", directoryv1.RunState_RUN_STATE_STOPPED),
	)
}

// statesOf is what nodes say of objects, by "Kind/name". It asks only where an
// object has a state, and a node that does not answer leaves it out: what was
// asked for is the directory.
func statesOf(ctx context.Context, conn grpc.ClientConnInterface, objs []*directoryv1.Object) map[string]string {
	if !slices.ContainsFunc(objs, func(o *directoryv1.Object) bool { return o.GetVirtualServer() != nil || o.GetMailRule() != nil }) {
		return nil
	}
	resp, err := nodev1.NewNodeServiceClient(conn).Objects(ctx, &nodev1.ObjectsRequest{AllNodes: true})
	if err != nil {
		return nil
	}
	states := map[string]string{}
	for _, o := range resp.GetObjects() {
		state := o.GetState()
		if o.GetReason() != "" {
			state += ": " + o.GetReason()
		}
		key := o.GetKind() + "/" + o.GetName()
		if o.GetKind() == directory.KindMailRule { // each node has its own
			state = o.GetNode() + " " + state
			if before := states[key]; before != "" {
				state = before + ", " + state
			}
		}
		states[key] = state
	}
	return states
}
