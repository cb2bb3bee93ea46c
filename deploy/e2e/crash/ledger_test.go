package crash

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// ledger is what clients know.
type ledger struct {
	round int

	mu     sync.Mutex
	acked  map[string][]string // ID: recipients of a message that was acknowledged
	unsure map[string][]string // the connection broke after the content was sent
	begun  map[string]time.Time
}

func newLedger() *ledger {
	return &ledger{acked: make(map[string][]string), unsure: make(map[string][]string), begun: make(map[string]time.Time)}
}

func (l *ledger) sizes(t *testing.T) (acked int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d messages acknowledged, %d in doubt", len(l.acked), len(l.unsure))
	return len(l.acked)
}

// send hands one message in. A message counts as acknowledged only when the
// whole reply to its end was read.
func (l *ledger) send(server, id string, to []string) {
	begun := time.Now()
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
	l.begun[id] = begun
	if err != nil {
		l.unsure[id] = to
		return
	}
	l.acked[id] = to
}

var idOf = regexp.MustCompile(`(?m)^Message-ID: <(r\d+c\d+-\d+@crash\.test)>`)

// account waits until all queues are empty and compares the mailboxes with the
// ledger: each acknowledged copy is there once, nothing was invented, and no
// recipient was reported as failed.
func (l *ledger) account(t *testing.T, c *harness.Cluster, kills []time.Time) {
	t.Helper()
	idle(t, c)
	copies := make(map[string]int)
	for name, node := range homes {
		for _, m := range c.Mailbox(node, name+"@example.test") {
			if id := idOf.FindStringSubmatch(m); id != nil {
				copies[id[1]+" "+name]++
			} else {
				t.Errorf("%s has mail that nobody sent:\n%s", name, m)
			}
		}
	}
	var missing []string
	expected := 0
	for id, to := range l.acked {
		for _, r := range to {
			expected++
			if copies[id+" "+r] == 0 {
				missing = append(missing, id+" "+r)
			}
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged copies are in no mailbox, the first: %s\n%s", len(missing), expected, missing[0],
			c.Ctl("track", "follow", strings.Fields(missing[0])[0]).Stdout)
	}
	for key, n := range copies {
		id, name, _ := strings.Cut(key, " ")
		if n > 1 {
			t.Errorf("%s is in the mailbox %d times", key, n)
		}
		if !slices.Contains(l.acked[id], name) && !slices.Contains(l.unsure[id], name) {
			t.Errorf("%s was delivered but never sent to its end", key)
		}
	}
	t.Logf("%d copies of acknowledged messages, and %d of those in doubt, are in their mailboxes once", expected-len(missing), len(copies)-expected+len(missing))
	l.explainRepetitions(t, c, kills)
}

// idle waits until every queue of every node is empty.
func idle(t *testing.T, c *harness.Cluster) {
	t.Helper()
	harness.Eventually(t, 90*time.Second, func() error {
		<-time.After(200 * time.Millisecond)
		r := c.Ctl("queue", "list", "--busy")
		if r.Code != 0 || strings.Count(r.Stdout, "\n") > 1 {
			return fmt.Errorf("queues are not empty, exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
}
