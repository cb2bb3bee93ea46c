// Command postroad is the daemon: one node, or with `up` a whole organisation on
// this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/store/spool"
)

// version is set by the linker.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "postroad",
		Short:         "A cluster of mail-transport nodes",
		Long:          "Postroad moves an organisation's mail between its sites, over the cheapest path that works.\nStart with `postroad up`; operate with `postroadctl`.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), nodeCommand(), caCommand(), importCommand(), etcdCommand(), spoolCommand(), sendmailCommand())
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "postroad: %v\n", err)
		os.Exit(exitCode(err))
	}
}

// exitCode is 74 (EX_IOERR of sysexits.h) when the disk of the spool failed, so that
// whoever starts nodes can tell that from a wrong configuration.
func exitCode(err error) int {
	if errors.Is(err, spool.ErrFailed) {
		return 74
	}
	return 1
}
