package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/postroad/postroad/cmd/endpoints"
	"github.com/postroad/postroad/node/trust"
)

const defaultSocket = "/run/postroad/admin.sock"

// client is how to reach the cluster, and how to print what it says.
type client struct {
	endpoint string
	data     string
	files    trust.Files
	timeout  time.Duration
	format   string
	watch    bool
}

func (c *client) flags(f *pflag.FlagSet) {
	f.StringVar(&c.endpoint, "endpoint", os.Getenv("POSTROAD_ENDPOINT"), "node to ask: unix:/path/to/admin.sock or host:port")
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

// run is the RunE of every command: connect, ask, print.
func (c *client) run(ask func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		switch c.format {
		case "table", "wide", "json", "yaml", "name":
		default:
			return fmt.Errorf("-o %s: must be table, wide, json, yaml or name", c.format)
		}
		conn, err := c.dial(cmd.Context())
		if err != nil {
			return &failure{err, exitUnavailable}
		}
		defer conn.Close()
		for {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			if c.watch {
				fmt.Fprint(cmd.OutOrStdout(), "\x1b[H\x1b[2J")
			}
			err := ask(ctx, cmd, conn, args)
			cancel()
			if !c.watch {
				return failed(err)
			}
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

// dial connects to the first place of the documented order that is there.
func (c *client) dial(ctx context.Context) (*grpc.ClientConn, error) {
	if c.endpoint != "" {
		return c.dialTo(c.endpoint)
	}
	if f, err := endpoints.Read(c.data); err == nil {
		for _, n := range f.Nodes {
			if answers(ctx, n.AdminSocket) {
				return c.dialTo("unix:" + n.AdminSocket)
			}
		}
		return nil, fmt.Errorf("no node of %s answers; is 'postroad up' still running?", filepath.Join(c.data, endpoints.FileName))
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if answers(ctx, defaultSocket) {
		return c.dialTo("unix:" + defaultSocket)
	}
	return nil, fmt.Errorf("no node found: neither %s nor %s is there; name one with --endpoint, or start 'postroad up'",
		filepath.Join(c.data, endpoints.FileName), defaultSocket)
}

func answers(ctx context.Context, socket string) bool {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (c *client) dialTo(endpoint string) (*grpc.ClientConn, error) {
	if strings.HasPrefix(endpoint, "unix:") {
		return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if strings.HasPrefix(endpoint, "/") {
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
