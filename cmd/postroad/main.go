// Command postroad is the daemon: one node, or with `up` a whole organisation on
// this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // schedules name time zones; containers and small hosts have no list of them

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
		complain(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

// complain says why the process ends, and does not wait for a log on a disk that does
// not answer.
func complain(to io.Writer, err error) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintf(to, "postroad: %v\n", err)
	}()
	select {
	case <-said:
	case <-time.After(time.Second):
	}
}

// configError is a configuration file that nobody can start with.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// exitCode lets whoever starts nodes tell a disk that failed (74, EX_IOERR of
// sysexits.h) and a configuration file that is wrong (78, EX_CONFIG) from the rest.
// Only the latter is not worth another try: certificates, ports and disks come back.
func exitCode(err error) int {
	switch {
	case errors.Is(err, spool.ErrFailed):
		return 74
	case errors.As(err, new(configError)):
		return 78
	}
	return 1
}
