package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/cmd/postroad/systemd"
	"github.com/postroad/postroad/node"
)

func nodeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run one node",
		Long: `Run one node until SIGTERM or SIGINT, which drain it: listeners close, messages
in flight are finished, the rest stays in the spool.

Exit codes: 0 stopped as asked; 1 failed, worth starting again; 74 the disk of the
data folder failed or does not answer, worth starting again when it is well; 78 the configuration file
is missing or wrong, and stays so until somebody changes it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			useProcessors(os.Getenv)
			c, err := node.LoadConfig(path)
			if err != nil {
				return configError{err}
			}
			manager, err := systemd.Open(os.Getenv, os.Getpid())
			if err != nil {
				return err
			}
			defer manager.Close()
			n, err := node.New(c, node.Deps{Version: version, Manager: manager})
			if err != nil {
				return err
			}
			go manager.Live(cmd.Context())
			return n.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", "/etc/postroad/node.yaml", "the node's configuration file")
	return cmd
}
