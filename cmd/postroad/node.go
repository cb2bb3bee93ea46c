package main

import (
	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node"
)

func nodeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run one node",
		Long: `Run one node until SIGTERM or SIGINT, which drain it: listeners close, messages
in flight are finished, the rest stays in the spool.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.LoadConfig(path)
			if err != nil {
				return err
			}
			n, err := node.New(c, node.Deps{Version: version})
			if err != nil {
				return err
			}
			return n.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", "/etc/postroad/node.yaml", "the node's configuration file")
	return cmd
}
