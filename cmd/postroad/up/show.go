package up

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/postroad/postroad/cmd/endpoints"
)

// show tells where everything is, and what to try.
func (c *cluster) show() {
	w := c.opt.Stdout
	fmt.Fprintf(w, "\nOrganisation %s: %d nodes. Data in %s\n\n", c.org.name, len(c.org.servers), c.opt.Data)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tGROUP\tSMTP\tGOSSIP\tADMIN\tMETRICS\tPID")
	for _, n := range c.snapshot().Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", n.Name, n.Group, n.SMTP, n.Gossip, n.Admin, n.Metrics, n.PID)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\nMailboxes: %s\n", filepath.Join(c.opt.Data, "nodes", "NODE", "maildir", "ADDRESS"))

	ctl := c.ctl()
	from, to, ok := c.farPair()
	if !ok {
		return
	}
	i := slices.IndexFunc(c.org.servers, func(s server) bool { return s.name == from.server })
	fmt.Fprintf(w, "\nTry, from another terminal:\n  %s topology show\n  %s route explain %s --from %s\n  swaks --server %s --from %s --to %s\n",
		ctl, ctl, to.address, from.server, c.org.servers[i].smtp, from.address, to.address)
	fmt.Fprintf(w, "  grpcurl -plaintext -unix %s list\n\n", c.at.socket(from.server))
}

// ctl is the CLI beside this program as one types it from this folder, with what
// it needs to find this cluster.
func (c *cluster) ctl() string {
	path := filepath.Join(filepath.Dir(c.opt.Executable), "postroadctl")
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
			path = short
		}
	}
	return path + c.dataFlag()
}

// dataFlag is what postroadctl needs to find this cluster from this folder.
func (c *cluster) dataFlag() string {
	if abs, err := filepath.Abs("data"); err == nil && abs == c.opt.Data {
		return "" // the CLI's own default
	}
	return " --data " + c.opt.Data
}

func (c *cluster) snapshot() endpoints.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.state
	f.Nodes = slices.Clone(f.Nodes)
	return f
}

// farPair picks two mailboxes in different groups, the same at each start.
func (c *cluster) farPair() (from, to mailbox, ok bool) {
	boxes := c.org.mailboxes()
	groups := sortedKeys(boxes)
	if len(groups) == 0 {
		return from, to, false
	}
	first, last := boxes[groups[0]], boxes[groups[len(groups)-1]]
	return first[0], last[len(last)-1], len(groups) > 1 || len(first) > 1
}

// firstMessage sends one letter between two groups and shows its way.
func (c *cluster) firstMessage(ctx context.Context) {
	from, to, ok := c.farPair()
	if !ok {
		c.say("no first message: the organisation has no two mailboxes")
		return
	}
	l := newLetter(from, to.address, to)
	if err := c.send(ctx, l); err != nil && ctx.Err() != nil {
		return // Ctrl-C is no failure
	} else if err != nil {
		c.say("first message: %v", err)
		return
	}
	events, err := c.waitFor(ctx, l)
	if ctx.Err() != nil {
		return
	}
	fmt.Fprintf(c.opt.Stdout, "A first message went from %s to %s:\n", from.address, to.address)
	printTrip(c.opt.Stdout, events)
	if err != nil {
		c.say("first message: %v", err)
	}
	fmt.Fprintf(c.opt.Stdout, "\nFollow it again: %s track follow '<%s>'\nCtrl-C drains and stops everything.\n\n",
		c.ctl(), l.id)
}
