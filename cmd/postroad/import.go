package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/trust"
	"github.com/postroad/postroad/store/directory"
)

// importCommand writes an organisation into etcd before there is a node to ask:
// every node waits for its own Server object, so the first cannot be applied
// through one.
func importCommand() *cobra.Command {
	var file, organization string
	var etcd []string
	var f trust.Files
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write an organisation into etcd, before the first node runs",
		Long:  "Write an organisation into etcd, before the first node runs. Afterwards use postroadctl apply, which does the same through a node.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := os.Open(file)
			if err != nil {
				return err
			}
			defer r.Close()
			objs, err := directory.DecodeYAML(r, file)
			if err != nil {
				return err
			}
			id, err := trust.Load(f)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			d, err := directory.Open(ctx, directory.Config{Endpoints: etcd, TLS: id.ClientTLS(""), Organization: organization})
			if err != nil {
				return err
			}
			defer d.Close()
			changes, revision, warnings, err := d.Apply(ctx, objs, false)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d objects, directory revision %d\n", len(changes), revision)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "file", "", "organisation, YAML")
	fl.StringVar(&organization, "organization", "", "its name, as in the certificates")
	fl.StringSliceVar(&etcd, "etcd", nil, "etcd's endpoints")
	fl.StringVar(&f.CA, "ca", "", "cluster CA")
	fl.StringVar(&f.Cert, "cert", "", "your certificate")
	fl.StringVar(&f.Key, "key", "", "its key")
	for _, name := range []string{"file", "organization", "etcd", "ca", "cert", "key"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}
