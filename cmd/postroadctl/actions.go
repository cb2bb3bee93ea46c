package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// actWithin is how long an action may take, unless --timeout says otherwise: a
// filter reads every message.
const actWithin = 2 * time.Minute

// actFlags are what the operator says of an action.
type actFlags struct {
	yes, dryRun, allNodes bool
	ndr, noNDR            bool
	reason, filter, to    string
	destination, nextHop  string
	connector             string
}

// alike says whether queues are meant by what they are like.
func (f *actFlags) alike() bool {
	return f.destination != "" || f.nextHop != "" || f.connector != ""
}

// like is nil where nothing is said of it.
func (f *actFlags) like() *queuev1.Likeness {
	if !f.alike() {
		return nil
	}
	return &queuev1.Likeness{Destination: f.destination, NextHop: f.nextHop, Connector: f.connector}
}

func (f *actFlags) alikeFlags(fl *pflag.FlagSet, more string) {
	fl.StringVar(&f.destination, "destination", "", "queues for this destination"+more)
	fl.StringVar(&f.nextHop, "next-hop", "", "queues for this next hop"+more)
	fl.StringVar(&f.connector, "connector", "", "queues over this connector"+more)
}

// Queues and messages have different fields.
const (
	aboutQueueFilters = `
A filter names fields of queues, as 'state = retry and oldest > 2h' or 'destination ~ *.shop.example'; what may be
written there is in docs/operate.md. `
	aboutMessageFilters = `
A filter names fields of messages, as 'state = retry and age > 2h' or 'sender ~ *@shop.example'; what may be
written there is in docs/operate.md.`
)

func queueFreeze(c *client) *cobra.Command {
	return actCommand(c, queuev1.Action_ACTION_FREEZE, false, &cobra.Command{
		Use:   "freeze [QUEUE-ID...]",
		Short: "Stop queues: mail comes in, none leaves",
		Long: `Stop queues: mail comes in, none leaves, until 'queue thaw', over restarts too. What is in flight is finished. Delay
notices and expiration go on (expired mail is returned with 4.3.2), but not before routing: pre-submission, reports, directory and
routing can be frozen by these IDs.` + aboutQueueFilters + `It means those there are now.

--destination, --next-hop and --connector (patterns with * and ?) freeze what is like that, queues to come included, and so do the IDs
local and deferred; 'queue list' shows these freezes, 'queue thaw' with the same flags ends them.`,
		Example: "  postroadctl queue freeze 3w5e11264sgsf --reason 'their host is ill'\n  postroadctl queue freeze --filter 'destination ~ *example.com*' --all-nodes\n" +
			"  postroadctl queue freeze --next-hop mx.example.com --all-nodes --reason 'their host is ill'",
	})
}

func queueThaw(c *client) *cobra.Command {
	return actCommand(c, queuev1.Action_ACTION_THAW, false, &cobra.Command{
		Use:   "thaw [QUEUE-ID...]",
		Short: "Let frozen queues go",
	})
}

func queueDelete(c *client) *cobra.Command {
	return actCommand(c, queuev1.Action_ACTION_DELETE, false, &cobra.Command{
		Use:   "delete [QUEUE-ID...]",
		Short: "Delete the messages of queues, or those that a filter means, with or without a report",
		Long: `Delete the messages that wait in queues, or those that a filter means. --ndr tells their senders (4.3.2), --no-ndr
does not; one of the two is needed. A message in flight is deleted after the attempt, if it is still there.` + aboutMessageFilters + `
Of a message for several recipients only those go that it means.
The reason of --reason is for logs, tracking and lists; with --ndr senders read it too.`,
		Example: "  postroadctl queue delete --filter 'sender = spam@example.net' --no-ndr --all-nodes --reason 'spam run'",
	})
}

func queueRedirect(c *client) *cobra.Command {
	return actCommand(c, queuev1.Action_ACTION_REDIRECT, false, &cobra.Command{
		Use:   "redirect [QUEUE-ID...] --to connector:NAME|HOST[:PORT]|auto",
		Short: "Send what waits in queues another way",
		Long: `Send what waits in queues now another way: over a connector that takes its address, to an SMTP host directly, or (auto)
the way of the map again. What comes later goes its usual way; a MailRule redirects that too.` + aboutMessageFilters,
		Example: "  postroadctl queue redirect 3w5e11264sgsf --to connector:backup --reason 'line is down'",
	})
}

func messageCommand(c *client) *cobra.Command {
	return group("message", "Waiting messages, one by one",
		actCommand(c, queuev1.Action_ACTION_FREEZE, true, &cobra.Command{
			Use:   "freeze [ID...]",
			Short: "Hold messages back; they do not expire meanwhile",
			Long: `Hold messages back until 'message thaw', over restarts too. They do not expire, and no delay notice is sent, meanwhile.
'queue messages' shows the IDs.` + aboutMessageFilters,
		}),
		actCommand(c, queuev1.Action_ACTION_THAW, true, &cobra.Command{
			Use: "thaw [ID...]", Short: "Let messages go that were frozen, by hand or by a rule",
		}),
		actCommand(c, queuev1.Action_ACTION_DELETE, true, &cobra.Command{
			Use: "delete [ID...]", Short: "Delete messages, with (--ndr) or without (--no-ndr) a report to the sender",
			Long: "Delete messages, with (--ndr) or without (--no-ndr) a report to the sender. One in flight is deleted after the\nattempt, if it is still there, though the node restarts meanwhile." + aboutMessageFilters + "\nThe reason of --reason is for logs, tracking and lists; with --ndr senders read it too.",
		}),
		actCommand(c, queuev1.Action_ACTION_REDIRECT, true, &cobra.Command{
			Use: "redirect [ID...] --to connector:NAME|HOST[:PORT]|auto", Short: "Send messages another way",
		}),
		messageShow(c),
	)
}

func actCommand(c *client, action queuev1.Action, onMessages bool, cmd *cobra.Command) *cobra.Command {
	var f actFlags
	destructive := action == queuev1.Action_ACTION_DELETE || action == queuev1.Action_ACTION_REDIRECT
	cmd.RunE = c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
		req := &queuev1.ActRequest{
			Action: action, OnMessages: onMessages, Filter: f.filter, Report: f.ndr, To: f.to, Reason: f.reason, By: operator(),
			Node: c.node, AllNodes: f.allNodes,
		}
		req.Like = f.like()
		if onMessages {
			req.Messages = args
		} else {
			req.Queues = args
		}
		return c.act(cmd, conn, req, f)
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error { return f.check(action, destructive, cmd, args) }
	fl := cmd.Flags()
	fl.StringVar(&f.filter, "filter", "", "those that the filter means")
	if !onMessages && !destructive {
		f.alikeFlags(fl, ", those to come too")
	}
	if action == queuev1.Action_ACTION_DELETE {
		fl.BoolVar(&f.ndr, "ndr", false, "tell the senders")
		fl.BoolVar(&f.noNDR, "no-ndr", false, "tell nobody")
	}
	if action == queuev1.Action_ACTION_REDIRECT {
		fl.StringVar(&f.to, "to", "", "connector:NAME, HOST, HOST:PORT, or auto")
	}
	f.common(cmd)
	if action == queuev1.Action_ACTION_DELETE {
		fl.Lookup("reason").Usage += "; with --ndr senders read it too"
	}
	return cmd
}

func (f *actFlags) common(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.allNodes, "all-nodes", false, "on all nodes, not only the one that is asked")
	fl.StringVar(&f.reason, "reason", "", "why, for logs, tracking and lists")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only say what would be touched")
}

// readers are who reads a reason beside those who run the servers.
func (f *actFlags) readers() string {
	if f.ndr {
		return ", and to the senders"
	}
	return ""
}

// check refuses a command line that leaves open what is meant.
func (f *actFlags) check(action queuev1.Action, destructive bool, cmd *cobra.Command, args []string) error {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	switch {
	case f.alike() && (len(args) > 0 || f.filter != ""):
		return fmt.Errorf("%s: --destination, --next-hop and --connector mean all queues that are like that; give no IDs and no --filter beside", path)
	case len(args) == 0 && f.filter == "" && !f.alike():
		return fmt.Errorf("%s: name what is meant, by IDs or by --filter", path)
	case slices.Contains(args, ""):
		return fmt.Errorf("%s: an ID is empty", path)
	case action == queuev1.Action_ACTION_DELETE && f.ndr == f.noNDR:
		return fmt.Errorf("%s: say whether senders are told: --ndr or --no-ndr", path)
	case action == queuev1.Action_ACTION_REDIRECT && f.to == "":
		return fmt.Errorf("%s: say where to: --to connector:NAME, HOST, HOST:PORT or auto", path)
	case destructive && f.reason == "" && !f.dryRun:
		return fmt.Errorf("%s: say why: --reason TEXT goes into the logs%s", path, f.readers())
	}
	return nil
}

// patience is how long one question of an action may take.
func (c *client) patience(cmd *cobra.Command) time.Duration {
	if cmd.Flags().Changed("timeout") {
		return c.timeout
	}
	return actWithin
}

// act says what would be touched, asks, and does it.
func (c *client) act(cmd *cobra.Command, conn grpc.ClientConnInterface, req *queuev1.ActRequest, f actFlags) error {
	ask := func(dry bool) (*queuev1.ActResponse, error) {
		ctx, cancel := context.WithTimeout(cmd.Context(), c.patience(cmd))
		defer cancel()
		req.DryRun = dry
		if dry && req.GetReason() == "" {
			req.Reason = "dry run"
		}
		m, err := queuev1.NewQueueServiceClient(conn).Act(ctx, req)
		req.Reason = f.reason
		return m, err
	}
	w := cmd.OutOrStdout()
	if f.dryRun || !f.yes {
		m, err := ask(true)
		if err != nil {
			return err
		}
		if f.dryRun {
			return c.printAct(cmd, m, req, " (dry run)")
		}
		// What is not in the counts is told before the question: there the order may touch more.
		silent, cut := missing(cmd.ErrOrStderr(), m.GetMissing()), unfinished(m)
		// A standing freeze is worth asking for though nothing waits.
		if touched(m) > 0 || req.GetLike() != nil && notFound(m, req) == nil {
			if cut != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), cut)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s %s", verbOf(req), actWords(m, req))
			if err := confirmed(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
				return err
			}
		} else if err := firstError(cut, notFound(m, req)); err != nil {
			return err
		} else {
			fmt.Fprintln(w, "there is nothing to do")
			return firstError(staying(m), silent)
		}
	}
	m, err := ask(false)
	if err != nil {
		return err
	}
	return c.printAct(cmd, m, req, "")
}

func verbOf(req *queuev1.ActRequest) string { return word(req.GetAction().String(), "ACTION_") }

// onQueues says whether whole queues are meant.
func onQueues(req *queuev1.ActRequest) bool {
	return !req.GetOnMessages() && (req.GetAction() == queuev1.Action_ACTION_FREEZE || req.GetAction() == queuev1.Action_ACTION_THAW)
}

func touched(m *queuev1.ActResponse) (n int64) {
	for _, r := range m.GetResults() {
		n += r.GetQueues() + r.GetMessages() + r.GetLater()
	}
	return n
}

// actWords are the counts of all nodes.
func actWords(m *queuev1.ActResponse, req *queuev1.ActRequest) string {
	var sum queuev1.ActResult
	for _, r := range m.GetResults() {
		sum.Queues += r.GetQueues()
		sum.Messages += r.GetMessages()
		sum.Recipients += r.GetRecipients()
		sum.Bytes += r.GetBytes()
	}
	on := fmt.Sprintf(" on %s", count(len(m.GetResults()), "node"))
	if onQueues(req) {
		return count64(sum.GetQueues(), "queue", "queues") + " with " + count64(sum.GetMessages(), "message", "messages") + on
	}
	return fmt.Sprintf("%s for %s, %d octets%s", count64(sum.GetMessages(), "message", "messages"),
		count64(sum.GetRecipients(), "recipient", "recipients"), sum.GetBytes(), on)
}

// confirmed asks; who cannot be asked must have said --yes.
func confirmed(in io.Reader, out io.Writer) error {
	fmt.Fprint(out, "? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	case "":
		if err != nil {
			fmt.Fprintln(out)
			return errors.New("nobody answered; --yes does it without asking")
		}
	}
	return &failure{errors.New("not done"), exitFailed}
}

func (c *client) printAct(cmd *cobra.Command, m *queuev1.ActResponse, req *queuev1.ActRequest, mark string) error {
	w := cmd.OutOrStdout()
	done, err := c.message(w, m)
	if err != nil {
		return err
	}
	if !done {
		fmt.Fprintf(w, "%s: %s%s\n", verbOf(req), actWords(m, req), mark)
	}
	var failed error
	for _, r := range m.GetResults() {
		if r.GetLater() > 0 && !done {
			fmt.Fprintf(w, "  %s: %s in flight: done when the attempt is finished, if still there\n", r.GetNode(), count64(r.GetLater(), "more is", "more are"))
		}
		if n := r.GetUntold(); n > 0 && !done {
			fmt.Fprintf(w, "  %s: the senders of %s were not told: a bound of reports was reached (`reports` of the Organization); the badmail folder has what they sent\n",
				r.GetNode(), count64(n, "message", "messages"))
		}
		for _, why := range sortedKeys(r.GetRefused()) {
			if !done {
				fmt.Fprintf(w, "  %s: %s left as before: %s\n", r.GetNode(), count64(r.GetRefused()[why], "message is", "messages are"), why)
			}
		}
		for _, id := range r.GetUnrouted() {
			failed = &failure{fmt.Errorf("%s: %s is in no queue of a destination yet, so there is nothing to redirect; try again when it is routed", r.GetNode(), id), exitConflict}
		}
	}
	return firstError(unfinished(m), failed, staying(m), notFound(m, req), missing(cmd.ErrOrStderr(), m.GetMissing()))
}

// unfinished names a node that came to no end.
func unfinished(m *queuev1.ActResponse) error {
	for _, r := range m.GetResults() {
		if r.GetError() != "" {
			return &failure{fmt.Errorf("%s: not done to the end: %s", r.GetNode(), r.GetError()), exitFailed}
		}
	}
	return nil
}

// staying names queues that were asked for and stay as they are.
func staying(m *queuev1.ActResponse) error {
	for _, r := range m.GetResults() {
		for _, id := range sortedKeys(r.GetStays()) {
			return &failure{fmt.Errorf("%s: queue %s stays as it is: %s", r.GetNode(), id, r.GetStays()[id]), exitConflict}
		}
	}
	return nil
}

// notFound names what no node has that answered.
func notFound(m *queuev1.ActResponse, req *queuev1.ActRequest) error {
	if len(m.GetMissing()) > 0 {
		return nil // it may be on the node that did not answer, and that is told
	}
	var none []string
	if req.GetLike() != nil && req.GetAction() == queuev1.Action_ACTION_RETRY {
		return nil // nothing like that waits
	}
	if req.GetLike() != nil {
		for _, r := range m.GetResults() {
			if len(r.GetUnknown()) == 0 {
				return nil
			}
			none = r.GetUnknown()
		}
		if len(none) > 0 {
			return &failure{fmt.Errorf("%s: no such standing freeze on the nodes that were asked; 'queue list' shows them", none[0]), exitNotFound}
		}
		return nil
	}
	what := "queue"
	if len(req.GetMessages()) > 0 {
		what = "message"
	}
	for _, id := range slices.Concat(req.GetQueues(), req.GetMessages()) {
		nowhere := len(m.GetResults()) > 0
		for _, r := range m.GetResults() {
			nowhere = nowhere && slices.Contains(r.GetUnknown(), id)
		}
		if nowhere {
			none = append(none, id)
		}
	}
	if len(none) == 0 {
		return nil
	}
	return &failure{fmt.Errorf("%s: no such %s on the nodes that were asked; 'queue list' and 'queue messages' show what is where (--node asks one node, --all-nodes all)",
		strings.Join(none, ", "), what), exitNotFound}
}
