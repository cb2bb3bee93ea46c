// Command postroadctl operates a Postroad cluster. It speaks gRPC to one node;
// that node asks the others where a question concerns them all.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules name time zones; containers and small hosts have no list of them

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stdout, stderr = visible{stdout}, visible{stderr}
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "postroadctl: %v\n", err)
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	fmt.Fprintln(stderr, "see postroadctl --help")
	return exitUsage
}

func newRoot() *cobra.Command {
	c := &client{}
	root := &cobra.Command{
		Use:   "postroadctl",
		Short: "Operate a Postroad cluster",
		Long: `Operate a Postroad cluster: its directory, topology, link state, queues and tracking.

The node to ask is found by --endpoint, then $POSTROAD_ENDPOINT, then the
endpoints.json of a running 'postroad up' (--data, $POSTROAD_DATA, ./data), then
/run/postroad/admin.sock.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable,
6 partial (some nodes did not answer; what did is printed).
Tables are for people and may change; -o json and -o yaml are for programs.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.flags(root.PersistentFlags())
	root.AddCommand(
		applyCommand(c), getCommand(c), deleteCommand(c), diffCommand(c),
		group("topology", "The map: groups, connectors, costs, states", topologyShow(c), topologyWhatIf(c)),
		group("route", "Why mail goes where it goes", routeExplain(c), routeResolve(c), routeLog(c)),
		group("queue", "Queues and what they wait for", queueList(c), queueMessages(c), queueShape(c), queueRetry(c),
			queueFreeze(c), queueThaw(c), queueDelete(c), queueRedirect(c), queueQuarantine(c)),
		messageCommand(c),
		group("track", "What became of a message", trackFollow(c), trackFind(c)),
		group("linkstate", "What every node knows of every link",
			linkstateList(c), linkstateGet(c), linkstateWatch(c), linkstateDiff(c), linkstateValidate(c)),
		virtualServerCommand(c),
		alias("dsn", group("ndr", "Status codes of non-delivery reports", ndrExplain(c), ndrList(c))),
		alias("server", group("node", "The nodes themselves", nodeList(c), nodeLedger(c), nodeDrain(c), nodeUndrain(c), nodeOutbound(c))),
		group("connector", "Connectors, one by one", connectorDrain(c), connectorUndrain(c), connectorDequeue(c)),
	)
	return root
}

func group(noun, short string, verbs ...*cobra.Command) *cobra.Command {
	// With a Run of its own a wrong verb is an error, not a reason to print help.
	cmd := &cobra.Command{Use: noun + " VERB", Short: short, DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var known []string
			for _, v := range verbs {
				known = append(known, v.Name())
			}
			return fmt.Errorf("%s has no verb %q; it has %s", noun, args[0], strings.Join(known, ", "))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(verbs...)
	return cmd
}

// alias gives a noun a second name.
func alias(name string, noun *cobra.Command) *cobra.Command {
	noun.Aliases = append(noun.Aliases, name)
	return noun
}

// needs are the arguments of a command, by what its usage calls them.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s needs %s: %s", path, names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return fmt.Errorf("%s: %q is too much: %s", path, args[len(names)], cmd.UseLine())
		}
		return nil
	}
}
