package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/pickup"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/spool"
)

func spoolExportCommand() *cobra.Command {
	var data, to string
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Write waiting messages as files",
		Long: `Write waiting messages as files, one each, for the recipients that have not got
them yet; without IDs all messages. The node must not run on the spool. Nothing
is taken out of it: a node that is started on it again sends the same mail.

A file that ends in .part is half a message: the export was broken off, do it again
into another folder. A file can be read and edited, and given to any node by "postroad spool import".
A message that cannot be read is named and the rest is exported (exit code 1).`,
		Example: "  postroad spool export --data /var/lib/postroad --to /var/tmp/rescued",
		RunE: func(cmd *cobra.Command, args []string) error {
			x := exporter{to: to, out: cmd.OutOrStdout(), failed: cmd.ErrOrStderr()}
			return x.run(cmd.Context(), filepath.Join(data, "spool"), args)
		},
	}
	cmd.Flags().StringVar(&data, "data", "/var/lib/postroad", "the node's data folder")
	cmd.Flags().StringVar(&to, "to", "", "folder for the files; it is made if it is not there")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// exporter writes messages of one spool into a folder.
type exporter struct {
	to          string
	out, failed io.Writer
	spool       *spool.Spool
	written     int
	bad         int
}

func (x *exporter) run(ctx context.Context, dir string, ids []string) (err error) {
	if x.spool, err = spool.Open(dir, spool.Options{ReadOnly: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.spool.Close()) }()
	if err := os.MkdirAll(x.to, 0o700); err != nil {
		return err
	}
	if len(ids) == 0 {
		err = x.spool.Messages(func(id spool.ID) error { x.message(mail.ID(id)); return ctx.Err() })
	}
	for _, s := range ids {
		id, err := mail.ParseID(s)
		if err != nil {
			return err
		}
		x.message(id)
	}
	err = errors.Join(err, syncFolder(x.to))
	fmt.Fprintf(x.out, "%d messages written to %s\n", x.written, x.to)
	if err == nil && x.bad > 0 {
		err = fmt.Errorf("%d messages could not be exported", x.bad)
	}
	return err
}

// message exports one message, or says why not.
func (x *exporter) message(id mail.ID) {
	if err := x.export(id); err != nil {
		x.bad++
		fmt.Fprintf(x.failed, "message %s: %v\n", id, err)
		return
	}
	x.written++
}

func (x *exporter) export(id mail.ID) (err error) {
	st, err := x.spool.Load(spool.ID(id))
	if err != nil {
		return err
	}
	env, to, err := queue.Waiting(st)
	if err != nil {
		return err
	}
	body, err := x.spool.OpenBody(spool.ID(id))
	if err != nil {
		return err
	}
	defer body.Close()
	return writeWhole(filepath.Join(x.to, id.String()+".eml"), func(w io.Writer) error { return pickup.Write(w, env, to, body) })
}

// writeWhole makes a file that is not there yet appear whole or not at all, whenever the
// process dies: half a message must not look like one. Another attempt goes over what is left.
func writeWhole(path string, fill func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already; name another folder, or move it away", path)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(part))
	}
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func spoolImportCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Give messages in files to a node",
		Long: `Give messages in files to a node: those that "postroad spool export" wrote, or
messages of your own with X-Sender and X-Receiver lines in front. Each is checked
and left in the node's pickup folder; the node takes it at once if it runs, or
when it starts. Nothing is left there if one of the files is not good.`,
		Example: "  postroad spool import --data /var/lib/postroad /var/tmp/rescued/*.eml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				if err := checkLetter(path); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			dir := filepath.Join(data, pickup.Folder)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			for i, path := range args {
				if err := importLetter(dir, path); err != nil {
					return fmt.Errorf("%s: %w; the %d files before it were left for the node", path, err, i)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d messages left in %s\n", len(args), dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "/var/lib/postroad", "the node's data folder")
	return cmd
}

func checkLetter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := pickup.Read(f)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, l.Content)
	return err
}

func importLetter(dir, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return pickup.Leave(dir, func(w io.Writer) error { _, err := io.Copy(w, f); return err })
}
