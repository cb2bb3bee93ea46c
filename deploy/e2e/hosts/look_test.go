package hosts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// way waits until a node would send mail for another one's mailbox in a way that
// `route explain` describes with these words.
func (w *world) way(from, to string, words ...string) {
	w.t.Helper()
	harness.Eventually(w.t, 20*time.Second, func() error {
		out := w.ctl(from, "route", "explain", to+"@example.test").Stdout
		for _, want := range words {
			if !strings.Contains(out, want) {
				return fmt.Errorf("from %s to %s: not %q:\n%s", from, to, want, out)
			}
		}
		return nil
	})
}

// same waits until the tables of these nodes are the same; each is asked for its
// own, because a node that is cut off cannot ask the others.
func (w *world) same(within time.Duration, nodes ...string) {
	w.t.Helper()
	harness.Eventually(w.t, within, func() error {
		tables := make([]harness.Result, len(nodes))
		var asking sync.WaitGroup
		for i, n := range nodes {
			asking.Go(func() { tables[i] = w.ctl(n, "linkstate", "list", "-o", "json", "--timeout", "5s") })
		}
		asking.Wait()
		digests := make(map[string]string)
		for i, n := range nodes {
			var list struct{ Digest string }
			if err := json.Unmarshal([]byte(tables[i].Stdout), &list); err != nil {
				return fmt.Errorf("%s: exit code %d, %w: %s", n, tables[i].Code, err, tables[i].Stderr)
			}
			digests[list.Digest] = n
		}
		if len(digests) > 1 {
			return fmt.Errorf("the tables differ: %v", digests)
		}
		return nil
	})
}

// names are those of the nodes, sorted.
func (w *world) names() []string { return slices.Sorted(maps.Keys(w.node)) }

// known waits until every node has said the new state of a connector, and reads
// from the logs when the first one did, and the last.
func (w *world) known(began time.Time, event, connector string) (earliest, latest time.Time) {
	w.t.Helper()
	harness.Eventually(w.t, 30*time.Second, func() error {
		earliest, latest = time.Time{}, time.Time{}
		for name, p := range w.node {
			at := p.logged(began, event, connector)
			if at.IsZero() {
				return fmt.Errorf("%s has not said %s of %s", name, event, connector)
			}
			if earliest.IsZero() || at.Before(earliest) {
				earliest = at
			}
			if at.After(latest) {
				latest = at
			}
		}
		return nil
	})
	return earliest, latest
}

// waitLogged waits until one node has said the new state of a connector.
func (w *world) waitLogged(node string, began time.Time, event, connector string) {
	w.t.Helper()
	harness.Eventually(w.t, 40*time.Second, func() error {
		if w.node[node].logged(began, event, connector).IsZero() {
			return fmt.Errorf("%s has not said %s of %s", node, event, connector)
		}
		return nil
	})
}

// arrives sends a message from one host to the mailbox of another one and waits for it.
func (w *world) arrives(l *load, from, to string, within time.Duration) {
	w.t.Helper()
	w.letters++
	id := fmt.Sprintf("letter-%d@hosts.test", w.letters)
	began := time.Now()
	l.send(from, id, small, to)
	harness.Eventually(w.t, within, func() error {
		if !slices.ContainsFunc(w.mailbox(to, to), func(m string) bool { return strings.Contains(m, id) }) {
			return fmt.Errorf("%s from %s is not in the mailbox of %s", id, from, to)
		}
		return nil
	})
	w.t.Logf("a message from %s to %s took %v", from, to, time.Since(began).Round(10*time.Millisecond))
}

// event is a line of a node's log about link state.
type event struct {
	TS               time.Time
	Event, Connector string
}

// events reads what a node wrote after began.
func (p *process) events(began time.Time) iter.Seq[event] {
	return func(yield func(event) bool) {
		f, err := os.Open(p.log)
		if err != nil {
			p.w.t.Error(err)
			return
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.TS.After(began) && !yield(e) {
				return
			}
		}
	}
}

// logged is when the node first wrote such a line after began; zero: never.
func (p *process) logged(began time.Time, what, connector string) time.Time {
	for e := range p.events(began) {
		if e.Event == what && e.Connector == connector {
			return e.TS
		}
	}
	return time.Time{}
}

// changes counts the changes of links and servers that a node has seen since began.
func (p *process) changes(began time.Time) (n int) {
	for e := range p.events(began) {
		switch e.Event {
		case "connector_up", "connector_down", "server_alive", "server_suspect", "server_down":
			n++
		}
	}
	return n
}

// newsSent is the octets of records, and of what of them has changed, that a node
// has sent.
func (p *process) newsSent() float64 {
	p.w.t.Helper()
	return p.metric(`postroad_gossip_sent_bytes_total{frame="records"}`)
}

// metric is the value of a metric with all its labels.
func (p *process) metric(name string) float64 {
	p.w.t.Helper()
	text, err := p.get("/metrics")
	if err != nil {
		p.w.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				p.w.t.Fatal(err)
			}
			return v
		}
	}
	p.w.t.Fatalf("%s has no metric %s", p.host.Name, name)
	return 0
}
