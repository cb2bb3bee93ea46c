package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/cmd/endpoints"
	"github.com/postroad/postroad/node/trust"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

const (
	defaultSocket = "/run/postroad/admin.sock"
	answerWithin  = time.Second // of one node, before the next is asked
	// questionWithin bounds each question of a command that goes on for long.
	questionWithin = 10 * time.Second
)

// client is how to reach the cluster, and how to print what it says.
type client struct {
	endpoint string
	node     string
	data     string
	files    trust.Files
	timeout  time.Duration
	format   string
	watch    bool
	asked    string // the node that dial found by name
}

// passedOn is the node of --node, if it is not the one that is asked already: beside a
// running 'postroad up' dial goes to it; elsewhere who is asked passes a question on.
func (c *client) passedOn() string {
	if c.node == c.asked {
		return ""
	}
	return c.node
}

// itself is for orders that are not passed on: they must not be carried out by another
// node than the one that --node names.
func (c *client) itself(ctx context.Context, conn grpc.ClientConnInterface) error {
	if c.passedOn() == "" {
		return nil
	}
	s, err := nodev1.NewNodeServiceClient(conn).Status(ctx, &nodev1.StatusRequest{})
	if err == nil && s.GetName() != c.node {
		err = &failure{fmt.Errorf("--node %s: it is %s that answers, and this is not passed on; name a socket or an address of %s with --endpoint", c.node, s.GetName(), c.node), exitUsage}
	}
	return err
}

func (c *client) flags(f *pflag.FlagSet) {
	f.StringVar(&c.endpoint, "endpoint", os.Getenv("POSTROAD_ENDPOINT"), "node to ask: unix:/path/to/admin.sock or host:port")
	f.StringVar(&c.node, "node", "", "node that is meant, by name: whom to ask of a running 'postroad up' (default: the first that answers)")
	f.StringVar(&c.data, "data", envOr("POSTROAD_DATA", "data"), "data folder of a running 'postroad up'")
	f.StringVar(&c.files.CA, "ca", "", "cluster CA, for host:port")
	f.StringVar(&c.files.Cert, "cert", "", "your certificate, for host:port")
	f.StringVar(&c.files.Key, "key", "", "its key")
	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "give up after this long")
	f.StringVarP(&c.format, "output", "o", "table", "table, wide, json, yaml or name")
	f.BoolVarP(&c.watch, "watch", "w", false, "ask again every second until Ctrl-C")
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// run is the RunE of every command: connect, ask, print. formats are those that
// this command has beside the usual ones.
func (c *client) run(ask func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error, formats ...string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if known := append(formats, "table", "wide", "json", "yaml", "name"); !slices.Contains(known, c.format) {
			return fmt.Errorf("-o %s: must be one of %s", c.format, strings.Join(known, ", "))
		}
		conn, err := c.dial(cmd.Context())
		if err != nil {
			return &failure{err, exitUnavailable}
		}
		defer conn.Close()
		for {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			if !c.watch {
				err := ask(ctx, cmd, conn, args)
				cancel()
				return failed(err)
			}
			err := redraw(cmd, func() error { return ask(ctx, cmd, conn, args) })
			cancel()
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), failed(err))
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
}

// redraw shows one more answer. A terminal is cleared only when the answer is
// there, so that it does not flicker; a pipe gets one answer after the other.
func redraw(cmd *cobra.Command, ask func() error) error {
	out := cmd.OutOrStdout()
	screen, ok := out.(visible)
	if !ok || !isTerminal(screen.Writer) {
		return ask()
	}
	var answer bytes.Buffer
	cmd.SetOut(&answer)
	err := ask()
	cmd.SetOut(out)
	fmt.Fprint(screen.Writer, "\x1b[H\x1b[2J")
	fmt.Fprintf(out, "%s", answer.Bytes())
	return err
}

// stay is run for commands that go on for longer than one question: they bound
// each question themselves, by question.
func (c *client) stay(follow func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if known := []string{"table", "wide", "json", "yaml"}; !slices.Contains(known, c.format) {
			return fmt.Errorf("-o %s: must be one of %s", c.format, strings.Join(known, ", "))
		}
		if c.watch {
			return errors.New("--watch: this command does not repeat")
		}
		conn, err := c.dial(cmd.Context())
		if err != nil {
			return &failure{err, exitUnavailable}
		}
		defer conn.Close()
		return failed(follow(cmd, conn, args))
	}
}

// question bounds one question of a command that may wait for longer: then
// --timeout is for the waiting.
func (c *client) question(waits bool) time.Duration {
	if waits {
		return questionWithin
	}
	return c.timeout
}

// isTerminal says whether a screen can be cleared: a pipe or a file gets text only.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// dial connects to the first place of the documented order that is there.
func (c *client) dial(ctx context.Context) (*grpc.ClientConn, error) {
	if c.endpoint != "" {
		return c.dialTo(c.endpoint)
	}
	if f, err := endpoints.Read(c.data); err == nil {
		for _, n := range f.Nodes {
			if c.node != "" && c.node != n.Name {
				continue
			}
			if conn := answering(ctx, n.AdminSocket); conn != nil {
				c.asked = n.Name
				return conn, nil
			}
		}
		if c.node != "" {
			return nil, fmt.Errorf("--node %s: %s has no such node, or it does not answer", c.node, filepath.Join(c.data, endpoints.FileName))
		}
		return nil, fmt.Errorf("no node of %s answers; is 'postroad up' still running?", filepath.Join(c.data, endpoints.FileName))
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if conn := answering(ctx, defaultSocket); conn != nil {
		return conn, nil
	}
	return nil, fmt.Errorf("no node found: neither %s nor %s is there; name one with --endpoint, or start 'postroad up'",
		filepath.Join(c.data, endpoints.FileName), defaultSocket)
}

// answering connects to a socket if somebody answers there. Connecting alone proves
// nothing: the kernel accepts connections for a process that hangs.
func answering(ctx context.Context, socket string) *grpc.ClientConn {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		conn.Close()
		return nil
	}
	return conn
}

func (c *client) dialTo(endpoint string) (*grpc.ClientConn, error) {
	if strings.HasPrefix(endpoint, "unix:") {
		return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if strings.Contains(endpoint, "/") {
		return grpc.NewClient("unix:"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if c.files == (trust.Files{}) {
		if f, err := endpoints.Read(c.data); err == nil {
			c.files = trust.Files(f.Admin)
		}
	}
	if c.files.CA == "" || c.files.Cert == "" || c.files.Key == "" {
		return nil, fmt.Errorf("endpoint %s: over TCP the admin API wants your certificate: give --ca, --cert and --key (made by 'postroad ca issue --admin NAME')", endpoint)
	}
	id, err := trust.Load(c.files)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(credentials.NewTLS(id.ClientTLS(""))))
}
