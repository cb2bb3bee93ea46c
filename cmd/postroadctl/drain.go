package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// sampled is how often a drain that is waited for looks at the queues.
const sampled = time.Second

// drainFlags are what the operator says of a drain.
type drainFlags struct {
	soft, wait, dryRun bool
	reason             string
}

func nodeDrain(c *client) *cobra.Command {
	return drainCommand(c, "Server", &cobra.Command{
		Use:   "drain NODE",
		Short: "Keep new mail away from a node, before it is stopped or repaired",
		Long: `Keep new mail away from a node. Hard (the default): no mail is routed through it, and it answers
clients with 421 4.3.2; it takes what other nodes bring for its own mailboxes, and sends on what it holds.
With --soft it is used only if nothing else is left. The drain is in the node's Server object: it holds over
restarts until 'node undrain'. First is said which mail will take another way.

With --wait the command ends when the node's queues are empty, or after --timeout (without one it waits for
ever): exit code 0 empty, 6 mail is left and why, 5 the node does not answer.`,
		Example: "  postroadctl node drain paris-1 --reason 'new disks' --wait --timeout 30m\n  postroadctl node drain paris-1 --dry-run",
	})
}

func connectorDrain(c *client) *cobra.Command {
	return drainCommand(c, "Connector", &cobra.Command{
		Use:   "drain CONNECTOR",
		Short: "Keep new mail away from a connector",
		Long: `Keep new mail away from a connector. Hard (the default): no mail takes it, what waits for it takes
another way or waits as currently unreachable. With --soft it is used only if nothing else is left. The drain
is in the connector's object: it holds until 'connector undrain'. First is said which mail will take another way.

With --wait the command ends when no mail waits for the connector, or after --timeout (without one it waits for
ever): exit code 0 empty, 6 mail is left and why, 5 a bridgehead does not answer.`,
		Example: "  postroadctl connector drain paris-oslo --soft --reason 'line is being measured'",
	})
}

func drainCommand(c *client, kind string, cmd *cobra.Command) *cobra.Command {
	var f drainFlags
	cmd.Args = needs(strings.Fields(cmd.Use)[1])
	cmd.RunE = c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
		mode := "hard"
		if f.soft {
			mode = "soft"
		}
		return c.drain(cmd, conn, &topologyv1.DrainRequest{Kind: kind, Name: args[0], Mode: mode, Reason: f.reason, By: operator(), DryRun: f.dryRun}, f.wait && !f.dryRun)
	})
	cmd.Flags().BoolVar(&f.soft, "soft", false, "make it dear: used only if nothing else is left")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the logs of all nodes")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "show the progress until no mail waits any more")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would move")
	return cmd
}

func nodeUndrain(c *client) *cobra.Command {
	return undrainCommand(c, "Server", &cobra.Command{Use: "undrain NODE", Short: "Let mail return to a node that was drained"})
}

func connectorUndrain(c *client) *cobra.Command {
	return undrainCommand(c, "Connector", &cobra.Command{Use: "undrain CONNECTOR", Short: "Let mail return to a connector that was drained"})
}

func undrainCommand(c *client, kind string, cmd *cobra.Command) *cobra.Command {
	var f drainFlags
	cmd.Args = needs(strings.Fields(cmd.Use)[1])
	cmd.RunE = c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
		return c.drain(cmd, conn, &topologyv1.DrainRequest{Kind: kind, Name: args[0], Mode: "none", Reason: f.reason, By: operator(), DryRun: f.dryRun}, false)
	})
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the log of the asked node")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would move")
	return cmd
}

// operator is who types, as far as this host knows; over TCP the certificate counts.
func operator() string {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil || name == "" {
		return name
	}
	return name + "@" + host
}

// drain asks for the change, tells what it moves, and follows it if that is wanted.
func (c *client) drain(cmd *cobra.Command, conn grpc.ClientConnInterface, req *topologyv1.DrainRequest, wait bool) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), c.question(wait))
	m, err := topologyv1.NewTopologyServiceClient(conn).Drain(ctx, req)
	cancel()
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	for _, warning := range m.GetWarnings() {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", warning)
	}
	done, err := c.message(w, m)
	if err != nil {
		return err
	}
	if !done {
		printDrain(w, m, req)
		if m.GetEffects() != nil {
			if err := printEffects(w, c, m.GetEffects()); err != nil {
				return err
			}
		}
	}
	silent := missing(cmd.ErrOrStderr(), m.GetEffects().GetMissing())
	if req.GetDryRun() || req.GetMode() == "none" {
		return silent
	}
	p := progress{client: c, cmd: cmd, conn: conn, drain: m, quiet: done, waits: wait}
	if !wait {
		return firstError(p.once(), silent)
	}
	return p.follow()
}

func printDrain(w io.Writer, m *topologyv1.DrainResponse, req *topologyv1.DrainRequest) {
	what := fmt.Sprintf("%s/%s: %s → %s", m.GetKind(), m.GetName(), drainState(m.GetBefore()), drainState(m.GetAfter()))
	if m.GetBefore() == m.GetAfter() {
		what = fmt.Sprintf("%s/%s: %s already", m.GetKind(), m.GetName(), drainState(m.GetAfter()))
	}
	if req.GetDryRun() {
		what += " (dry run)"
	}
	fmt.Fprintln(w, what)
}

func drainState(mode string) string {
	if mode == "none" {
		return "not drained"
	}
	return "drained " + mode
}

// progress follows the queues of what is drained.
type progress struct {
	*client
	cmd   *cobra.Command
	conn  grpc.ClientConnInterface
	drain *topologyv1.DrainResponse
	quiet bool // print for programs: one line of JSON a sample
	waits bool

	first   *backlog
	printed string
}

// backlog is the mail that waits for what is drained.
type backlog struct {
	at     time.Time
	left   int64
	queues []*queuev1.Queue
	// silent are nodes that hold mail perhaps and did not say.
	silent map[string]string
}

func (b *backlog) empty() bool { return b.left == 0 && len(b.silent) == 0 }

// backlogOf picks what concerns a drain.
func backlogOf(d *topologyv1.DrainResponse, m *queuev1.ListResponse, at time.Time) *backlog {
	b := &backlog{at: at, silent: make(map[string]string)}
	for _, q := range m.GetQueues() {
		ours := q.GetConnector() == d.GetName()
		if d.GetKind() == "Server" {
			ours = q.GetNode() == d.GetName()
		}
		if ours && q.GetMessages() > 0 {
			b.left += q.GetMessages()
			b.queues = append(b.queues, q)
		}
	}
	for _, n := range d.GetNodes() {
		if why, ok := m.GetMissing()[n]; ok {
			b.silent[n] = why
		}
	}
	return b
}

func (p *progress) sample() (*backlog, error) {
	ctx, cancel := context.WithTimeout(p.cmd.Context(), p.question(p.waits))
	defer cancel()
	m, err := queuev1.NewQueueServiceClient(p.conn).List(ctx, &queuev1.ListRequest{AllNodes: true})
	if err != nil {
		return nil, err
	}
	b := backlogOf(p.drain, m, time.Now())
	if p.first == nil {
		p.first = b
	}
	return b, nil
}

// once shows where things stand now.
func (p *progress) once() error {
	if p.quiet {
		return nil
	}
	b, err := p.sample()
	if err != nil {
		return err
	}
	if err := p.print(b); err != nil {
		return err
	}
	if !b.empty() {
		fmt.Fprintf(p.cmd.OutOrStdout(), "--wait follows it until it is empty; `postroadctl queue list --busy` shows it at any time\n")
	}
	return nil
}

// follow waits until no mail is left, through restarts of the nodes.
func (p *progress) follow() error {
	ctx := p.cmd.Context()
	if p.cmd.Flags().Changed("timeout") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	tick := time.NewTicker(sampled)
	defer tick.Stop()
	var last *backlog
	var lastErr error
	for {
		b, err := p.sample()
		switch {
		case err != nil:
			if lastErr == nil {
				fmt.Fprintf(p.cmd.ErrOrStderr(), "%v; trying again\n", failed(err))
			}
		default:
			if err := p.print(b); err != nil {
				return err
			}
			if b.empty() {
				return nil
			}
			last = b
		}
		lastErr = err
		select {
		case <-tick.C:
		case <-ctx.Done():
			return p.gaveUp(last, lastErr)
		}
	}
}

// gaveUp says why the wait is over without an end.
func (p *progress) gaveUp(last *backlog, err error) error {
	if p.cmd.Context().Err() != nil {
		return &failure{fmt.Errorf("interrupted; %s stays drained", p.drain.GetName()), exitPartial}
	}
	if err != nil {
		return failed(err)
	}
	if last == nil || last.left == 0 {
		return &failure{fmt.Errorf("after %v it is not known whether %s is empty: a node does not answer", p.timeout, p.drain.GetName()), exitUnavailable}
	}
	return &failure{fmt.Errorf("after %v %s left: %s", p.timeout, count64(last.left, "message is", "messages are"), why(last)), exitPartial}
}

// why is what the largest queue waits for.
func why(b *backlog) string {
	var most *queuev1.Queue
	for _, q := range b.queues {
		if most == nil || q.GetMessages() > most.GetMessages() {
			most = q
		}
	}
	return fmt.Sprintf("%s for %s: %s", most.GetKind(), dash(most.GetDestination()), dash(firstWord(most.GetLastError(), most.GetWaitingFor(), word(most.GetState().String(), "STATE_"))))
}

func firstWord(words ...string) string {
	for _, s := range words {
		if s != "" {
			return s
		}
	}
	return ""
}

func count64(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// print writes a sample that says something new.
func (p *progress) print(b *backlog) error {
	text := p.text(b)
	if text == p.printed {
		return nil
	}
	p.printed = text
	if p.quiet {
		return p.line(p.cmd.OutOrStdout(), &queuev1.ListResponse{Queues: b.queues, Missing: b.silent})
	}
	_, err := fmt.Fprintf(p.cmd.OutOrStdout(), "%s  %s", b.at.Format(time.TimeOnly), text)
	return err
}

func (p *progress) text(b *backlog) string {
	var s strings.Builder
	switch {
	case b.empty() && p.first.left > 0:
		fmt.Fprintf(&s, "%s is empty; %s since the start\n", p.drain.GetName(), count64(p.first.left, "message left it", "messages left it"))
	case b.empty():
		fmt.Fprintf(&s, "%s is empty\n", p.drain.GetName())
	default:
		fmt.Fprintf(&s, "%s left%s\n", count64(b.left, "message", "messages"), p.rate(b))
	}
	for _, q := range b.queues {
		fmt.Fprintf(&s, "          %6d  %s, %s for %s: %s\n", q.GetMessages(), q.GetNode(), q.GetKind(), dash(q.GetDestination()),
			firstWord(q.GetLastError(), q.GetWaitingFor(), word(q.GetState().String(), "STATE_")))
	}
	for _, n := range sortedKeys(b.silent) {
		fmt.Fprintf(&s, "          no answer from %s: %s\n", n, b.silent[n])
	}
	return s.String()
}

// rate is how fast it empties since the start, and how long that will take.
func (p *progress) rate(b *backlog) string {
	gone, took := p.first.left-b.left, b.at.Sub(p.first.at).Seconds()
	if gone <= 0 || took < sampled.Seconds()/2 {
		return ""
	}
	perSecond := float64(gone) / took
	left := time.Duration(float64(b.left) / perSecond * float64(time.Second))
	return fmt.Sprintf(", %.1f/s, about %v to go", perSecond, left.Round(time.Second))
}
