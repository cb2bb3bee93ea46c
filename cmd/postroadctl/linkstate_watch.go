package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// A watch that was cut off is tried again after rewatchFirst, then ever more
// seldom, at last each rewatchLast.
const (
	rewatchFirst = 200 * time.Millisecond
	rewatchLast  = 2 * time.Second
)

func linkstateWatch(c *client) *cobra.Command {
	req := &linkstatev1.WatchRequest{}
	var all bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Tell of each change of link state as it comes, until Ctrl-C",
		Long: `Tell of each change of link state as the asked node learns of it, one a line: time, server,
connector, what, before and after, why. When the node stops, the command waits until it is back
and tells what changed meanwhile. -o json prints one object a line.`,
		Example: "  postroadctl linkstate watch --connector paris-oslo\n  postroadctl linkstate watch --all -o json",
		Args:    needs(),
		RunE: c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			w := &watcher{client: c, out: cmd.OutOrStdout(), known: make(map[statement]string), all: all}
			return w.run(cmd.Context(), cmd.ErrOrStderr(), linkstatev1.NewLinkStateServiceClient(conn), req)
		}),
	}
	cmd.Flags().StringVar(&req.Server, "server", "", "only this server and its connectors")
	cmd.Flags().StringVar(&req.Connector, "connector", "", "only this connector")
	cmd.Flags().BoolVar(&all, "all", false, "begin with everything that holds now")
	return cmd
}

// watcher prints changes. It knows what it has printed, so that after a pause it
// tells only what is new.
type watcher struct {
	*client
	out   io.Writer
	known map[statement]string
	all   bool
	begun bool
}

// statement is what one line is about.
type statement struct{ server, connector, what string }

func (w *watcher) run(ctx context.Context, stderr io.Writer, c linkstatev1.LinkStateServiceClient, req *linkstatev1.WatchRequest) error {
	pause := rewatchFirst
	for {
		heard, err := w.listen(ctx, c, req)
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if !w.begun || !passing(err) {
			return err
		}
		if heard {
			pause = rewatchFirst
			fmt.Fprintf(stderr, "the node does not answer any more (%v); waiting for it\n", failed(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, rewatchLast)
		}
	}
}

// passing says whether an error ends with the restart of a node.
func passing(err error) bool {
	code := status.Code(err)
	return errors.Is(err, io.EOF) || code == codes.Unavailable || code == codes.Canceled || code == codes.Internal
}

// listen prints what comes until the stream ends; heard if anything came.
func (w *watcher) listen(ctx context.Context, c linkstatev1.LinkStateServiceClient, req *linkstatev1.WatchRequest) (heard bool, err error) {
	stream, err := c.Watch(ctx, req)
	if err != nil {
		return false, err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return heard, err
		}
		heard = true
		if err := w.tell(m); err != nil {
			return heard, err
		}
	}
}

func (w *watcher) tell(m *linkstatev1.WatchResponse) error {
	for _, k := range w.news(m) {
		if w.format == "json" || w.format == "yaml" {
			if err := w.line(w.out, k); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(w.out, changeLine(k)); err != nil {
			return err
		}
	}
	w.begun = true
	return nil
}

// news are the changes that were not printed before. A snapshot says everything
// that holds: what it leaves out is gone.
func (w *watcher) news(m *linkstatev1.WatchResponse) []*linkstatev1.LinkChange {
	var out []*linkstatev1.LinkChange
	said := make(map[statement]bool)
	for _, k := range m.GetChanges() {
		s := statement{k.GetServer(), k.GetConnector(), k.GetWhat()}
		said[s] = true
		was, knew := w.known[s]
		if m.GetSnapshot() && knew {
			k.Was = was
		}
		if !m.GetSnapshot() || !knew && (w.begun || w.all) || knew && was != k.GetNow() {
			out = append(out, k)
		}
		w.known[s] = k.GetNow()
		if k.GetNow() == "" {
			delete(w.known, s)
		}
	}
	if !m.GetSnapshot() {
		return out
	}
	for s, was := range w.known {
		if !said[s] {
			out = append(out, &linkstatev1.LinkChange{TimeUnixMs: time.Now().UnixMilli(), Server: s.server, Connector: s.connector, What: s.what, Was: was})
			delete(w.known, s)
		}
	}
	return out
}

// changeLine is a change as a person reads it.
func changeLine(k *linkstatev1.LinkChange) string {
	subject := k.GetServer()
	if k.GetConnector() != "" {
		subject += "  " + k.GetConnector()
	}
	now := k.GetNow()
	if now == "" {
		now = "none"
	}
	text := fmt.Sprintf("%s  %s  %s %s", time.UnixMilli(k.GetTimeUnixMs()).Format("15:04:05.000"), subject, k.GetWhat(), now)
	if k.GetWas() != "" {
		text += ", was " + k.GetWas()
	}
	if k.GetReason() != "" {
		text += ": " + strings.TrimSpace(k.GetReason())
	}
	return text
}
