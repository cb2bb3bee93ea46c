package hosts

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// load is mail that flows, and what the clients that hand it in know of it.
type load struct {
	w    *world
	stop atomic.Bool
	wg   sync.WaitGroup

	mu     sync.Mutex
	acked  map[string]letter
	unsure map[string]letter // the connection broke after the end of the content
}

type letter struct {
	begun time.Time
	to    []string // servers, whose mailboxes have the same names
}

// pause is between two messages of a client; the load is there to be counted,
// not to measure speed.
const pause = 50 * time.Millisecond

// The bodies of letters: half a kilobyte, and four megabytes.
var (
	small = strings.Repeat("all of this must arrive\r\n", 20)
	large = strings.Repeat("all of this must arrive\r\n", 160_000)
)

// mail starts one client on every host; it talks to the node there, and sends to
// a mailbox of every other host in turn.
func (w *world) mail() *load {
	l := &load{w: w, acked: make(map[string]letter), unsure: make(map[string]letter)}
	for name := range w.node {
		l.wg.Go(func() {
			for n := 0; !l.stop.Load(); n++ {
				to := slices.DeleteFunc(w.names(), func(s string) bool { return s == name })
				l.send(name, fmt.Sprintf("%s-%s-%d@hosts.test", strings.ToLower(w.t.Name()), name, n), small, to[n%len(to)])
				<-time.After(pause)
			}
		})
	}
	return l
}

// send hands one message to a node from its own host. It counts as acknowledged
// only when the reply to its end was read.
func (l *load) send(node, id, body string, to ...string) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	h := l.w.node[node].host
	conn, err := h.Dial(ctx, "tcp", net.JoinHostPort(h.Addr.String(), "25"))
	if err != nil {
		return // dead, for the moment
	}
	c := smtp.NewClient(conn)
	c.CommandTimeout, c.SubmissionTimeout = 20*time.Second, 20*time.Second
	defer c.Close()
	if c.Mail(node+"@example.test", nil) != nil {
		return
	}
	for _, r := range to {
		if c.Rcpt(r+"@example.test", nil) != nil {
			return
		}
	}
	data, err := c.Data()
	if err != nil {
		return
	}
	text := harness.Letter(node+"@example.test", to[0]+"@example.test", id, body)
	if _, err := data.Write([]byte(text)); err != nil {
		return
	}
	err = data.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unsure[id] = letter{begun, to}
		return
	}
	l.acked[id] = letter{begun, to}
}

// quiet ends the load and says how much it was.
func (l *load) quiet() {
	l.w.t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	l.w.t.Logf("%d messages acknowledged, %d in doubt", len(l.acked), len(l.unsure))
	if len(l.acked) < 100 {
		l.w.t.Errorf("too few for a verdict")
	}
}

var messageID = regexp.MustCompile(`(?m)^Message-ID: <([^>]+@hosts\.test)>`)

// account waits until all queues are empty and finds every acknowledged message in
// its mailbox, once; nothing that nobody sent; and no report. What tracking says
// was delivered more than once was in flight during a trouble.
func (l *load) account() {
	t := l.w.t
	t.Helper()
	l.w.idle(60 * time.Second)
	copies := make(map[string]int)
	for server := range l.w.node {
		for _, m := range l.w.mailbox(server, server) {
			id := messageID.FindStringSubmatch(m)
			if id == nil {
				t.Errorf("%s has mail that no client sent:\n%s", server, m)
				continue
			}
			copies[id[1]+" "+server]++
		}
	}
	var missing []string
	expected := 0
	for id, k := range l.acked {
		for _, r := range k.to {
			if l.w.node[r] == nil {
				continue // a mailbox that a step looks into
			}
			expected++
			if copies[id+" "+r] == 0 {
				missing = append(missing, id+" "+r)
			}
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		id, _, _ := strings.Cut(missing[0], " ")
		t.Errorf("%d of %d acknowledged messages are in no mailbox, the first: %s\n%s", len(missing), expected, missing[0],
			l.w.ctl(l.w.names()[0], "track", "follow", id).Stdout)
	}
	for key, n := range copies {
		id, server, _ := strings.Cut(key, " ")
		if n > 1 {
			t.Errorf("%s is in the mailbox %d times", key, n)
		}
		if !slices.Contains(l.acked[id].to, server) && !slices.Contains(l.unsure[id].to, server) {
			t.Errorf("%s was delivered but never sent to its end", key)
		}
	}
	t.Logf("%d messages accounted for: each is in its mailbox once; %d stored again over the first", expected-len(missing), l.repeated())
}

// repeated counts the deliveries beyond the first, by the tracking of the hosts
// where the mailboxes are; each has its trouble.
func (l *load) repeated() (all int) {
	type life struct {
		n   int
		end time.Time
	}
	lives := make(map[string]*life)
	for server := range l.w.node {
		files, err := filepath.Glob(l.w.path("data", server, "tracking", "*.jsonl"))
		if err != nil || len(files) == 0 {
			l.w.t.Fatalf("%s has no tracking files (%v)", server, err)
		}
		for _, f := range files {
			delivered(l.w.t, f, func(at time.Time, id, recipient string) {
				k := lives[id+" "+recipient]
				if k == nil {
					k = new(life)
					lives[id+" "+recipient] = k
				}
				k.n++
				if at.After(k.end) {
					k.end = at
				}
			})
		}
	}
	for key, k := range lives {
		if k.n < 2 {
			continue
		}
		all += k.n - 1
		id, _, _ := strings.Cut(key, " ")
		begun := l.acked[id].begun
		if begun.IsZero() {
			begun = l.unsure[id].begun
		}
		const clock = 100 * time.Millisecond // between the deed and the note of it
		if !slices.ContainsFunc(l.w.troubles, func(at time.Time) bool { return at.After(begun.Add(-clock)) && at.Before(k.end.Add(clock)) }) {
			l.w.t.Errorf("%s was stored %d times, the last at %v, without a trouble in its life", key, k.n, k.end)
		}
	}
	return all
}

// delivered reads the DELIVER events of a tracking file.
func delivered(t testing.TB, path string, with func(at time.Time, id, recipient string)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			At         int64    `json:"at"` // Unix time in microseconds
			Event      string   `json:"event"`
			MessageID  string   `json:"message_id"`
			Recipients []string `json:"recipients"`
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event != "DELIVER" {
			continue // also the line that a kill cut short
		}
		for _, r := range e.Recipients {
			with(time.UnixMicro(e.At), e.MessageID, r)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

// idle waits until every queue of every node is empty.
func (w *world) idle(within time.Duration) {
	w.t.Helper()
	harness.Eventually(w.t, within, func() error {
		r := w.ctl(w.names()[0], "queue", "list", "--busy")
		if r.Code != 0 || strings.Count(r.Stdout, "\n") > 1 {
			<-time.After(200 * time.Millisecond) // the question costs the nodes more than the answer is worth sooner
			return fmt.Errorf("queues are not empty, exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
}

// mailbox gives the messages of a mailbox on a server.
func (w *world) mailbox(server, name string) []string {
	w.t.Helper()
	files, err := filepath.Glob(w.path("data", server, "maildir", name+"@example.test", "new", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}
