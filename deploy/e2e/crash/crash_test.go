// Package crash kills processes with SIGKILL while mail flows, and then accounts
// for every message that was acknowledged.
package crash

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

var (
	lasting = flag.Duration("lasting", 25*time.Second, "how long processes are killed")
	seed    = flag.Uint64("seed", 0, "seed of the order in which they die; 0: a new one")
)

// homes are the mailboxes of the demo and where they live.
var homes = map[string]string{
	"alice": "paris-1", "antoine": "paris-2", "bruno": "berlin-1", "britta": "berlin-2", "olav": "oslo-1", "oda": "oslo-1",
}

// random is the seed of this run, said in the log.
func random(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("repeat with -args -seed %d", s)
	return s
}

// Nodes die, one after the other and sometimes two at a time, some hang for a
// while, and etcd dies too.
func TestNodesDie(t *testing.T) {
	seed := random(t)
	c := harness.Up(t, harness.Demo(t), "--restart-delay", "300ms")
	l := newLedger()
	quiet := l.load(c, seed)
	kills := assassin(t, c, rand.New(rand.NewPCG(seed, 99)))
	quiet()
	if acked := l.sizes(t); len(kills) < int(*lasting/(3*time.Second)) || acked < 200 {
		t.Fatalf("too little happened for a verdict: %d kills, %d acknowledged messages", len(kills), acked)
	}
	l.account(t, c, kills)
}

// assassin kills a random process again and again, each time after a random
// pause, or stops one for a while. It says when.
func assassin(t *testing.T, c *harness.Cluster, r *rand.Rand) (kills []time.Time) {
	t.Helper()
	end := time.Now().Add(*lasting)
	of := make(map[string]int)
	for time.Now().Before(end) {
		<-time.After(time.Duration(200+r.IntN(1200)) * time.Millisecond) // the pause is the point of the test
		f := c.Endpoints()
		victim := f.Nodes[r.IntN(len(f.Nodes))]
		name, pid := victim.Name, victim.PID
		signal := syscall.SIGKILL
		switch r.IntN(12) {
		case 0:
			name, pid = "etcd", f.Etcd.PID
		case 1:
			name, signal = name+" hangs", syscall.SIGSTOP
		}
		if syscall.Kill(pid, signal) != nil {
			continue // dead, and not yet started again
		}
		of[name]++
		kills = append(kills, time.Now())
		if signal == syscall.SIGSTOP {
			<-time.After(time.Duration(1000+r.IntN(5000)) * time.Millisecond)
			_ = syscall.Kill(pid, syscall.SIGCONT)
			kills = append(kills, time.Now())
		}
	}
	t.Logf("%d kills: %v", len(kills), of)
	return kills
}

// `postroad up` itself is killed; its nodes are told to stop by the kernel, and
// the next `up` on the folder starts while they may still be draining. The last
// time everything dies at once, as when the power fails.
func TestUpDies(t *testing.T) {
	seed := random(t)
	base := fmt.Sprint(harness.Ports(t, 64))
	data := t.TempDir()
	start := func() *harness.Cluster { return harness.UpAgain(t, data, "--base-port", base) }
	l := newLedger()
	r := rand.New(rand.NewPCG(seed, 98))
	var kills []time.Time
	c := start()
	for round := range 3 {
		quiet := l.load(c, r.Uint64())
		<-time.After(time.Duration(1000+r.IntN(2000)) * time.Millisecond)
		pids := c.PIDs()
		c.KillUp()
		if round == 2 {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL) // an earlier end is as good
			}
		}
		kills = append(kills, time.Now())
		quiet()
		c = start()
	}
	l.sizes(t)
	l.account(t, c, kills)
}

// load starts clients and gives what stops them.
func (l *ledger) load(c *harness.Cluster, seed uint64) (quiet func()) {
	var stop atomic.Bool
	var clients sync.WaitGroup
	nodes := c.Endpoints().Nodes
	l.round++
	for i := range 8 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		name := fmt.Sprintf("r%dc%d", l.round, i)
		clients.Go(func() {
			for n := 0; !stop.Load(); n++ {
				l.send(nodes[r.IntN(len(nodes))].SMTP, fmt.Sprintf("%s-%d@crash.test", name, n), pick(r))
			}
		})
	}
	return func() { stop.Store(true); clients.Wait() }
}

func pick(r *rand.Rand) []string {
	names := slices.Sorted(maps.Keys(homes))
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:1+r.IntN(3)]
}
