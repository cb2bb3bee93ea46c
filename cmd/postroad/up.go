package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/cmd/postroad/up"
)

func upCommand() *cobra.Command {
	var o up.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run an organisation on this machine, with an embedded etcd",
		Long: `Run an organisation on this machine: every node a process of its own, etcd too.

The first start brings the organisation of --file, or the demo of three sites,
into etcd. Later starts find it there; --file applies a file again.
DIR/endpoints.json says where everything is, once all nodes are ready.
A process that dies is started again; one that was asked to stop (SIGTERM) is not.`,
		Example: `  postroad up
  postroad up --once
  postroad up --file org.yaml --data /var/tmp/lab --base-port 30000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			o.Executable, o.Stdout, o.Stderr = exe, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return up.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.File, "file", "", "organisation to run, YAML (default: what the data folder holds, at first the demo)")
	f.StringVar(&o.Data, "data", "data", "folder for everything")
	f.IntVar(&o.BasePort, "base-port", 0, "first of the loopback ports to use (default: the organisation's own loopback addresses)")
	f.BoolVar(&o.NoRestart, "no-restart", false, "leave a dead process dead")
	f.DurationVar(&o.RestartDelay, "restart-delay", 3*time.Second, "how long a dead process stays dead")
	f.BoolVar(&o.Once, "once", false, "send mail between all groups, print a JSON report, stop; exit 0 if nothing is missing")
	f.BoolVar(&o.Pprof, "pprof", false, "let the nodes serve /debug/pprof beside their metrics")
	f.BoolVar(&o.Quiet, "quiet", false, "send no first message")
	return cmd
}
