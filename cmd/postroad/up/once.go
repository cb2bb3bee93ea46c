package up

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// report is what --once prints.
type report struct {
	// Sent counts messages, Delivered those of which every copy is in its
	// mailbox, Lost the others.
	Sent      int          `json:"sent"`
	Delivered int          `json:"delivered"`
	Lost      int          `json:"lost"`
	Copies    int          `json:"copies"`
	ElapsedMS int64        `json:"elapsed_ms"`
	Pairs     []pairReport `json:"pairs"`
	Missing   []string     `json:"missing,omitempty"`
}

type pairReport struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Path lists the nodes in order; for a distribution group all nodes that had a copy.
	Path []string `json:"path"`
	MS   float64  `json:"ms"`
}

// once sends a letter between every ordered pair of groups and one to a
// distribution group, and looks into the mailboxes. It fails if one is missing.
func (c *cluster) once(ctx context.Context) error {
	letters := c.letters()
	if len(letters) == 0 {
		return fmt.Errorf("nothing to send: --once needs mailboxes in at least two routing groups")
	}
	start := time.Now()
	r := report{Pairs: []pairReport{}}
	for _, l := range letters {
		if err := c.send(ctx, l); err != nil {
			return err
		}
		r.Sent++
	}
	for _, l := range letters {
		events, err := c.waitFor(ctx, l)
		missing := c.missing(l, events)
		if err != nil {
			r.Missing = append(r.Missing, err.Error())
		}
		for _, m := range missing {
			r.Missing = append(r.Missing, fmt.Sprintf("%s: no copy in the mailbox %s on %s", l.id, m.address, m.server))
		}
		r.Copies += len(l.expected) - len(missing)
		if len(missing) == 0 {
			r.Delivered++
		} else {
			r.Lost++
		}
		r.Pairs = append(r.Pairs, c.pair(l, events))
	}
	r.ElapsedMS = time.Since(start).Milliseconds()
	enc := json.NewEncoder(c.opt.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	if r.Lost > 0 {
		return fmt.Errorf("%d of %d messages are not in their mailboxes", r.Lost, r.Sent)
	}
	return nil
}

func (c *cluster) pair(l letter, events []*trackingv1.Event) pairReport {
	p := pairReport{From: l.from.group, To: l.to, Path: hops(events)}
	if len(l.expected) == 1 {
		p.To = l.expected[0].group
	}
	if n := len(events); n > 0 {
		p.MS = float64(events[n-1].GetTimeUnixUs()-events[0].GetTimeUnixUs()) / 1000
	}
	return p
}

func (c *cluster) letters() []letter {
	boxes := c.org.mailboxes()
	var all []letter
	for _, from := range sortedKeys(boxes) {
		for _, to := range sortedKeys(boxes) {
			if from != to {
				all = append(all, newLetter(boxes[from][0], boxes[to][0].address, boxes[to][0]))
			}
		}
	}
	if to, members := c.org.everyone(); to != "" && len(all) > 0 {
		all = append(all, newLetter(all[0].from, to, members...))
	}
	return all
}

// missing are the mailboxes without a copy. Where a server delivers to LMTP
// there is no folder to look into, and the delivery event must do.
func (c *cluster) missing(l letter, events []*trackingv1.Event) []mailbox {
	byEvents := undelivered(events, l)
	return slices.DeleteFunc(slices.Clone(l.expected), func(m mailbox) bool {
		root, ok := c.maildirOf(m.server)
		if !ok {
			return !slices.Contains(byEvents, m)
		}
		return holds(filepath.Join(root, strings.ToLower(m.address), "new"), l.id)
	})
}

// maildirOf is the folder of a server's mailboxes; false if it has none.
func (c *cluster) maildirOf(name string) (string, bool) {
	for _, o := range c.org.objects {
		s := o.GetServer()
		if s == nil || o.GetMetadata().GetName() != name {
			continue
		}
		if s.GetLocalDelivery().GetLmtp() != nil {
			return "", false
		}
		if root := s.GetLocalDelivery().GetMaildir().GetRoot(); root != "" {
			return root, true
		}
	}
	return c.at.maildir(name), true
}

// holds looks for a message with the ID in a folder, newest names last.
func holds(dir, id string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range slices.Backward(entries) {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		head, _ := io.ReadAll(io.LimitReader(f, 16<<10))
		f.Close()
		if bytes.Contains(head, []byte("<"+id+">")) {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
