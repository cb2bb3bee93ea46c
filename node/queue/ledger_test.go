package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

func TestEndOf(t *testing.T) {
	local, node := mail.Hop{Kind: mail.HopLocal}, mail.Hop{Kind: mail.HopNode}
	for _, c := range []struct {
		name string
		o    mail.Outcome
		hop  mail.Hop
		want spool.Line
	}{
		{"into a mailbox", delivered, local, spool.Delivered},
		{"to the next host", delivered, node, spool.Relayed},
		{"refused", mail.FromReply(mail.Reply{Code: 550}, "x"), node, spool.Failed},
		{"unknown here", mail.Fail(mail.StatusUnknownUser, ""), mail.Hop{}, spool.Failed},
		{"too old", mail.Fail(mail.StatusExpired, ""), node, spool.Expired},
		{"deliver-by is over", mail.Fail(mail.StatusDeliverBy, ""), node, spool.Expired},
	} {
		if got := endOf(c.o, c.hop); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRecipients(t *testing.T) {
	env := codec.EncodeEnvelope(envelope(1, "a@x", "b@y", "c@z"))
	plan := codec.EncodePlan(make([]mail.Target, 5))
	for _, c := range []struct {
		name string
		plan []byte
		tags [][]byte
		want int
	}{
		{"submitted", nil, nil, 3},
		{"all in one queue", plan, [][]byte{tag{}.encode()}, 5},
		{"in two queues", plan, [][]byte{tag{targets: []int{0, 4}}.encode(), tag{targets: []int{2}}.encode()}, 3},
	} {
		if got, err := Recipients(env, c.plan, c.tags); got != c.want || err != nil {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
	for name, f := range map[string]func() (int, error){
		"envelope": func() (int, error) { return Recipients([]byte("?"), nil, nil) },
		"plan":     func() (int, error) { return Recipients(env, []byte("?"), [][]byte{tag{}.encode()}) },
		"tag":      func() (int, error) { return Recipients(env, plan, [][]byte{{9}}) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("a broken %s has recipients", name)
		}
	}
}

// Mail of every fate goes through a runner on a spool; the power is cut at every
// point of it, and in each of the images the ledger balances.
func TestLedgerAfterCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var mu sync.Mutex
	var images []*vfs.MemFS
	var points []string
	rng := rand.New(rand.NewPCG(7, 0))
	seen := map[string]int{}
	faults := func(point string) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[point]++; seen[point] > 12 {
			return nil
		}
		for _, percent := range []int{0, 50} {
			images = append(images, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			points = append(points, fmt.Sprintf("%s with %d %%", point, percent))
		}
		return nil
	}
	sp, err := spool.Open("spool", spool.Options{FS: fs, Recipients: Recipients, Faults: faults, MemTable: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig()
	g.router.set("SMTP:none", mail.Hop{Kind: mail.HopFail, Status: mail.StatusNoRoute, Reason: "no connector"})
	const n = 12
	var left atomic.Int64
	left.Store(n * 5) // two at x, one at y, one here, one report
	all := make(chan struct{})
	g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, target mail.Target) mail.Outcome {
		o := delivered
		switch target.Address.Local {
		case "later":
			o = mail.FromReply(mail.Reply{Code: 450}, "x")
		case "refused":
			o = mail.FromReply(mail.Reply{Code: 550}, "x")
		}
		if left.Add(-1) == 0 {
			close(all)
		}
		return o
	}
	r := runOn(sp, g, func(c *Config) { c.Reporter = spoolReporter{sp, g.reporter} })
	for i := range n {
		env := envelope(i, "b@x", "later@x", "refused@y", "c@here", "nobody@here", "d@none")
		acceptInto(t, sp, env)
		r.Enqueue(env.ID, env)
	}
	<-all
	r.end(t)
	l := expectBalance(t, sp, spool.Tally{Messages: n, Recipients: 6 * n})
	for _, line := range []spool.Line{spool.Generated, spool.Relayed, spool.Delivered, spool.Failed} {
		if l[line].Recipients == 0 {
			t.Errorf("nothing is %s: %v", line, l)
		}
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"accept.synced", "plan.applied", "settle.applied", "settle.synced"} {
		if seen[want] == 0 {
			t.Errorf("no crash at %s, only at %v", want, slices.Compact(points))
		}
	}
	for i, im := range images {
		expectImage(t, points[i], im)
	}
}

func expectImage(t *testing.T, point string, fs *vfs.MemFS) {
	t.Helper()
	sp, err := spool.Open("spool", spool.Options{FS: fs, Recipients: Recipients, MemTable: 2 << 20})
	if err != nil {
		t.Fatalf("after a crash at %s: %v", point, err)
	}
	defer sp.Close()
	a, err := sp.Audit(t.Context())
	if err != nil || !a.Balanced() || a.Ledger[spool.Opening] != (spool.Tally{}) {
		t.Errorf("after a crash at %s: %s, %v (%v)", point, a, err, a.Ledger)
	}
}
