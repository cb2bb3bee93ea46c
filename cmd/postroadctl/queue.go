package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/postroad/postroad/filter"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

const filterHelp = `
A filter compares fields: = != ~ (pattern with * and ?) < <= > >=, joined by and, or,
not and parentheses; values with blanks stand in quotes. Sizes: 10K, 5M, 1GiB. Ages:
30m, 2h, 3d. Fields are `

func fieldNames(s filter.Subject) string {
	var names []string
	for _, f := range filter.Fields(s) {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ") + "."
}

// listPage is how many queues are fetched at a time: some 250 octets each, of 4 MiB.
const listPage = 4000

func queueList(c *client) *cobra.Command {
	var oneNode, busy, empty bool
	req := &queuev1.ListRequest{}
	limit := 0
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show queues of all nodes, their state and what they wait for",
		Long: `Show queues of all nodes, their state and what they wait for. The table leaves out
empty queues that nobody froze; --empty and -o wide show them, a filter decides for itself, and -o json
always has all.
` + filterHelp + fieldNames(filter.Queues),
		Example: "  postroadctl queue list --filter 'state = retry and oldest > 2h'\n  postroadctl queue list --filter 'destination ~ *.shop.example'",
		Args:    needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			if cmd.Flags().Changed("limit") && limit <= 0 {
				return errLimit
			}
			req.Node = c.passedOn()
			req.AllNodes = req.GetAllNodes() && !oneNode && c.node == ""
			m, err := allQueues(ctx, conn, req, limit)
			if err != nil {
				return err
			}
			if done, err := c.message(cmd.OutOrStdout(), m); done {
				return firstError(err, missing(cmd.ErrOrStderr(), m.GetMissing()))
			}
			short := !empty && c.format == "table" && req.GetFilter() == ""
			m.Queues = slices.DeleteFunc(m.GetQueues(), func(q *queuev1.Queue) bool {
				// A frozen one is there to be thawed, whatever is in it.
				return q.GetMessages() == 0 && (busy || short && q.GetState() != queuev1.State_STATE_FROZEN)
			})
			if err := c.queues(cmd, m); err != nil {
				return err
			}
			c.freezes(cmd.OutOrStdout(), m.GetFreezes())
			onward(cmd.ErrOrStderr(), "more queues", m.GetNextPageToken())
			return missing(cmd.ErrOrStderr(), m.GetMissing())
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&oneNode, "one", false, "only the node that is asked, as --all-nodes=false")
	f.BoolVar(&req.AllNodes, "all-nodes", true, "ask all nodes")
	f.BoolVar(&busy, "busy", false, "only queues with messages")
	f.BoolVar(&empty, "empty", false, "empty queues too")
	f.StringVar(&req.Filter, "filter", "", "only queues that are meant")
	f.IntVar(&limit, "limit", 0, "at most this many (default all)")
	f.StringVar(&req.PageToken, "page", "", "go on where a list with --limit ended")
	return cmd
}

var errLimit = &failure{errors.New("--limit: must be 1 or more"), exitUsage}

// allQueues fetches page after page, up to limit; 0: all.
func allQueues(ctx context.Context, conn grpc.ClientConnInterface, req *queuev1.ListRequest, limit int) (*queuev1.ListResponse, error) {
	out := &queuev1.ListResponse{}
	ask := &queuev1.ListRequest{AllNodes: req.GetAllNodes(), Filter: req.GetFilter(), Node: req.GetNode(), PageToken: req.GetPageToken()}
	for {
		ask.PageSize = listPage
		if limit > 0 {
			ask.PageSize = int32(min(listPage, limit-len(out.GetQueues())))
		}
		m, err := queuev1.NewQueueServiceClient(conn).List(ctx, ask)
		if err != nil {
			return nil, err
		}
		out.Queues = append(out.Queues, m.GetQueues()...)
		out.Freezes = append(out.Freezes, m.GetFreezes()...)
		out.Missing = joined(out.Missing, m.GetMissing())
		out.NextPageToken = m.GetNextPageToken()
		if ask.PageToken = out.NextPageToken; ask.PageToken == "" || limit > 0 && len(out.GetQueues()) >= limit {
			return out, nil
		}
	}
}

func joined(a, b map[string]string) map[string]string {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}

// onward says how to see the rest.
func onward(w io.Writer, what, token string) {
	if token != "" {
		fmt.Fprintf(w, "there are %s: repeat with --page %s\n", what, token)
	}
}

func (c *client) queues(cmd *cobra.Command, m *queuev1.ListResponse) error {
	now := time.Now()
	var rows [][]string
	for _, q := range m.GetQueues() {
		oldest := "-"
		if q.GetMessages() > 0 {
			oldest = age(q.GetOldestAgeMs())
		}
		row := []string{q.GetId(), q.GetNode(), q.GetKind(), dash(q.GetDestination()), dash(q.GetNextHop()),
			queueState(q), fmt.Sprint(q.GetMessages()), size(q.GetBytes()), oldest, when(q.GetNextAttemptUnixMs(), now), dash(q.GetWaitingFor())}
		if c.format == "wide" {
			row = append(row, dash(q.GetConnector()), dash(q.GetVirtualServer()), dash(q.GetClass()), connections(q), when(q.GetLastAttemptUnixMs(), now), dash(q.GetLastHost()), dash(q.GetLastError()))
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 && c.format == "table" {
		fmt.Fprintln(cmd.OutOrStdout(), "no mail waits; --empty shows the empty queues")
		return nil
	}
	header := "ID\tNODE\tQUEUE\tDESTINATION\tNEXT HOP\tSTATE\tMESSAGES\tSIZE\tOLDEST\tNEXT TRY\tWAITING FOR"
	if c.format == "wide" {
		header += "\tCONNECTOR\tVIRTUAL SERVER\tCLASS\tCONNECTIONS\tLAST TRY\tLAST HOST\tLAST ERROR"
	}
	return c.table(cmd.OutOrStdout(), header, rows)
}

// connections is how many are open, of how many the next hop takes at the moment.
func connections(q *queuev1.Queue) string {
	if q.GetConnectionWindow() == 0 {
		return fmt.Sprint(q.GetConnections())
	}
	return fmt.Sprintf("%d of %d", q.GetConnections(), q.GetConnectionWindow())
}

// queueState is the state in a word. A queue without a link of its own is
// ready whenever it may move; with mail in it and a reason it waits.
func queueState(q *queuev1.Queue) string {
	if q.GetState() == queuev1.State_STATE_READY && q.GetMessages() > 0 && q.GetWaitingFor() != "" {
		return "waiting"
	}
	return word(q.GetState().String(), "STATE_")
}

// messageError is why a message is still here.
func messageError(m *queuev1.Message) string {
	if m.GetHold() == "" {
		return dash(m.GetLastError())
	}
	return frozenWords(m)
}

// frozenWords say who holds a message back, and why.
func frozenWords(m *queuev1.Message) string {
	text := "frozen"
	if rule, ok := strings.CutPrefix(m.GetHold(), "rule/"); ok {
		text += " by rule " + rule
	} else if m.GetFrozenBy() != "" {
		text += " by " + m.GetFrozenBy()
	}
	if m.GetFrozenReason() != "" {
		text += ": " + m.GetFrozenReason()
	}
	return text
}

// serverFlag is for commands that ask all nodes unless one is named.
func (c *client) serverFlag(cmd *cobra.Command, server *string) {
	cmd.Flags().StringVar(server, "server", "", "only this node, by name (default: all nodes)")
}

// meant is the node that is meant, and whether all are.
func (c *client) meant(server string) (node string, all bool) {
	if server == "" && c.node == "" {
		return "", true
	}
	return cmp.Or(server, c.passedOn()), false
}

// freezes tells of those that hold for queues to come: no row of the table need show them.
func (c *client) freezes(w io.Writer, list []*queuev1.StandingFreeze) {
	if c.format == "name" {
		return
	}
	for _, f := range list {
		now := fmt.Sprintf("%s, %s now", count64(f.GetQueues(), "queue", "queues"), count64(f.GetMessages(), "message", "messages"))
		if f.GetLike().GetKind() == "outbound" {
			fmt.Fprintf(w, "%s: outbound mail is disabled until `node outbound enable %s` (%s)%s\n", f.GetNode(), f.GetNode(), now, frozenBy(f.GetBy(), f.GetReason()))
			continue
		}
		fmt.Fprintf(w, "%s: frozen until thawed, queues to come too: %s (%s)%s\n", f.GetNode(), likeWords(f.GetLike()), now, frozenBy(f.GetBy(), f.GetReason()))
	}
}

func frozenBy(by, reason string) string {
	text := ""
	if by != "" {
		text = ", by " + by
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

// likeWords are a likeness as the flags say it.
func likeWords(l *queuev1.Likeness) string {
	var words []string
	for _, f := range [][2]string{{"", l.GetKind()}, {"destination ", l.GetDestination()}, {"next hop ", l.GetNextHop()}, {"connector ", l.GetConnector()}} {
		if f[1] != "" {
			words = append(words, f[0]+f[1])
		}
	}
	return strings.Join(words, ", ")
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
