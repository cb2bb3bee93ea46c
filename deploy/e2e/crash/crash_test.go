// Package crash kills node processes with SIGKILL while mail flows, and then
// accounts for every message that was acknowledged.
package crash

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

var (
	lasting = flag.Duration("lasting", 40*time.Second, "how long nodes are killed")
	seed    = flag.Uint64("seed", 0, "seed of the order in which nodes die; 0: a new one")
)

// homes are the mailboxes of the demo and where they live.
var homes = map[string]string{
	"alice": "paris-1", "antoine": "paris-2", "bruno": "berlin-1", "britta": "berlin-2", "olav": "oslo-1", "oda": "oslo-1",
}

// ledger is what clients know: which messages were acknowledged, to whom.
type ledger struct {
	mu     sync.Mutex
	acked  map[string][]string // ID: recipients
	unsure map[string][]string // the connection broke after the content was sent
}

func TestNothingAcknowledgedIsLost(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d; repeat with -seed %d", *seed, *seed)
	c := harness.Up(t, harness.Demo(t), "--restart-delay", "300ms")
	l := &ledger{acked: make(map[string][]string), unsure: make(map[string][]string)}

	var stop atomic.Bool
	var clients sync.WaitGroup
	nodes := c.Endpoints().Nodes
	for i := range 8 {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		clients.Go(func() {
			for n := 0; !stop.Load(); n++ {
				l.send(nodes[r.IntN(len(nodes))].SMTP, fmt.Sprintf("c%d-%d@crash.test", i, n), pick(r))
			}
		})
	}
	kills := assassin(t, c, rand.New(rand.NewPCG(*seed, 99)))
	stop.Store(true)
	clients.Wait()
	l.mu.Lock()
	acked, unsure := len(l.acked), len(l.unsure)
	l.mu.Unlock()
	t.Logf("%d kills; %d messages acknowledged, %d in doubt", kills, acked, unsure)
	if kills < 10 || acked < 200 {
		t.Fatalf("too little happened for a verdict: %d kills, %d acknowledged messages", kills, acked)
	}
	l.account(t, c)
}

// assassin kills a random node again and again, each time after a random pause.
func assassin(t *testing.T, c *harness.Cluster, r *rand.Rand) (kills int) {
	t.Helper()
	end := time.Now().Add(*lasting)
	for time.Now().Before(end) {
		<-time.After(time.Duration(200+r.IntN(1200)) * time.Millisecond) // the pause is the point of the test
		nodes := c.Endpoints().Nodes
		victim := nodes[r.IntN(len(nodes))]
		if c.KillIfAlive(victim.Name) {
			kills++
		}
	}
	return kills
}

func pick(r *rand.Rand) []string {
	names := slices.Sorted(maps.Keys(homes))
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:1+r.IntN(3)]
}

// send hands one message in. A message counts as acknowledged only when the
// whole reply to its end was read.
func (l *ledger) send(server, id string, to []string) {
	conn, err := net.DialTimeout("tcp", server, time.Second)
	if err != nil {
		<-time.After(20 * time.Millisecond) // do not spin on a dead node
		return
	}
	c := smtp.NewClient(conn)
	c.CommandTimeout, c.SubmissionTimeout = 20*time.Second, 20*time.Second
	defer c.Close()
	if c.Mail("alice@example.test", nil) != nil {
		return
	}
	for _, r := range to {
		if c.Rcpt(r+"@example.test", nil) != nil {
			return
		}
	}
	w, err := c.Data()
	if err != nil {
		return
	}
	text := harness.Letter("alice@example.test", to[0]+"@example.test", id, strings.Repeat("all of this must arrive\r\n", 40))
	if _, err := w.Write([]byte(text)); err != nil {
		return
	}
	err = w.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unsure[id] = to
		return
	}
	l.acked[id] = to
}

var idOf = regexp.MustCompile(`(?m)^Message-ID: <(c\d+-\d+@crash\.test)>`)

// account waits until all queues are empty and compares the mailboxes with the
// ledger. A copy may be there twice only if a node died while it was in flight;
// each such copy is counted and must be rare.
func (l *ledger) account(t *testing.T, c *harness.Cluster) {
	t.Helper()
	var missing []string
	var copies map[string]int
	harness.Eventually(t, 90*time.Second, func() error {
		copies = make(map[string]int)
		for name, node := range homes {
			for _, m := range c.Mailbox(node, name+"@example.test") {
				if id := idOf.FindStringSubmatch(m); id != nil {
					copies[id[1]+" "+name]++
				}
			}
		}
		missing = nil
		for id, to := range l.acked {
			for _, r := range to {
				if copies[id+" "+r] == 0 {
					missing = append(missing, id+" "+r)
				}
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			return fmt.Errorf("%d acknowledged copies are in no mailbox, the first: %s\n%s", len(missing), missing[0],
				c.Ctl("track", "follow", strings.Fields(missing[0])[0]).Stdout)
		}
		return nil
	})
	duplicates := 0
	for key, n := range copies {
		if n > 1 {
			duplicates += n - 1
			id, name, _ := strings.Cut(key, " ")
			if !strings.Contains(c.Ctl("track", "follow", id).Stdout, name) {
				t.Errorf("%s arrived %d times and tracking does not tell why", key, n)
			}
		}
	}
	t.Logf("%d copies delivered, %d of them twice (in flight when a node died)", len(copies), duplicates)
	if limit := len(copies) / 10; duplicates > limit {
		t.Errorf("%d duplicates among %d copies, more than what can have been in flight", duplicates, len(copies))
	}
	// Nothing is left behind, and nothing was invented.
	harness.Eventually(t, 30*time.Second, func() error {
		if out := c.Ctl("queue", "list", "--busy").OK(t).Stdout; strings.Count(out, "\n") > 1 {
			return fmt.Errorf("queues are not empty:\n%s", out)
		}
		return nil
	})
	for key := range copies {
		id := strings.Fields(key)[0]
		if l.acked[id] == nil && l.unsure[id] == nil {
			t.Errorf("%s was delivered but never sent to its end", id)
		}
	}
}
