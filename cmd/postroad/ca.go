package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/trust"
	"github.com/postroad/postroad/store/directory"
)

func caCommand() *cobra.Command {
	var dir, organization string
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The cluster's certificate authority",
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "ca", "folder of the authority; keep it off the nodes")
	cmd.PersistentFlags().StringVar(&organization, "organization", "", "name of the organisation (required)")
	_ = cmd.MarkPersistentFlagRequired("organization")

	cmd.AddCommand(&cobra.Command{
		Use:   "init",
		Short: "Make the authority, unless it is there",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := trust.OpenAuthority(dir, organization, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "authority of %s: %s\n", organization, filepath.Join(dir, trust.AuthorityCert))
			return nil
		},
	})
	var server, admin string
	var hosts []string
	issue := &cobra.Command{
		Use:     "issue",
		Short:   "Give a node or an administrator a key and a certificate",
		Long:    "Give a node or an administrator a key and a certificate, NAME.key and NAME.crt in the authority's folder. The same name again renews both.",
		Example: "  postroad ca issue --organization example --server paris-1 --host paris-1.example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name := trust.Name{Organization: organization, Role: trust.RoleServer, Name: server}
			if admin != "" {
				name.Role, name.Name = trust.RoleAdmin, admin
			}
			ca, err := trust.OpenAuthority(dir, organization, time.Now())
			if err != nil {
				return err
			}
			cert, key, err := filesOf(name, dir)
			if err != nil {
				return err
			}
			if err := ca.Issue(name, hosts, cert, key, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s\n", name, cert, key)
			return nil
		},
	}
	issue.Flags().StringVar(&server, "server", "", "name of the Server object")
	issue.Flags().StringVar(&admin, "admin", "", "name of the administrator")
	issue.Flags().StringSliceVar(&hosts, "host", nil, "DNS name or address that outsiders know the node by")
	issue.MarkFlagsOneRequired("server", "admin")
	issue.MarkFlagsMutuallyExclusive("server", "admin")
	cmd.AddCommand(issue)
	return cmd
}

// filesOf is where a holder's certificate and key are written: over their own, never
// over the authority's or another holder's.
func filesOf(name trust.Name, dir string) (cert, key string, err error) {
	if !directory.ValidName(name.Name) {
		return "", "", fmt.Errorf("name %q: must start with a letter or digit and have only letters, digits, \".\", \"-\", \"_\", \"@\"; choose another name", name.Name)
	}
	cert, key = filepath.Join(dir, name.Name+".crt"), filepath.Join(dir, name.Name+".key")
	if strings.EqualFold(filepath.Base(cert), trust.AuthorityCert) {
		return "", "", fmt.Errorf("name %q: %s is the authority's own; choose another name", name.Name, cert)
	}
	switch holder, err := trust.NameInFile(cert); {
	case errors.Is(err, fs.ErrNotExist), err == nil && holder == name:
		return cert, key, nil
	case err != nil:
		return "", "", fmt.Errorf("%w; move it away, or choose another name", err)
	default:
		return "", "", fmt.Errorf("%s is for %s; choose another name", cert, holder)
	}
}
