package gossip

import (
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/linkstate/sim"
)

// traffic counts what crosses each adjacency of a simulated organisation.
type traffic struct {
	octets map[[2]linkstate.GUID]int // both directions; without keep-alives and bare digests, which do not depend on changes
	whole  int                       // records that were sent whole
	parts  int                       // as patches
}

func (c *traffic) clear() { *c = traffic{octets: make(map[[2]linkstate.GUID]int)} }

func (c *traffic) count(from, to linkstate.GUID, f linkstate.Frame) {
	if from.Compare(to) > 0 {
		from, to = to, from
	}
	switch f := f.(type) {
	case *linkstate.Keepalive:
		return
	case *linkstate.Digest:
		if len(f.Entries) == 0 {
			return
		}
	case *linkstate.Records:
		c.whole += len(f.Records)
		c.parts += len(f.Patches)
	}
	c.octets[[2]linkstate.GUID{from, to}] += frameSize(f)
}

func (c *traffic) most() (most int) {
	for _, n := range c.octets {
		most = max(most, n)
	}
	return most
}

// After the start nothing but what changes travels: in all of a hundred changes
// no record is sent whole and no table is compared entry by entry, no adjacency pays
// more than 300 octets for a change, and an adjacency that breaks and comes back
// carries what it missed.
func TestOnlyDeltasAfterStart(t *testing.T) {
	w := sim.Settled(sim.Config{
		Seed: 3, Groups: 12, Servers: 4, Extra: 150, Delay: 20 * time.Millisecond,
		Detection: linkstate.Detection{GlitchInterval: time.Minute, ProbeInterval: 10 * time.Minute, Damping: linkstate.Damping{Disabled: true}},
	})
	var c traffic
	c.clear()
	w.OnSend = c.count
	run := func(d time.Duration) {
		t.Helper()
		if err := w.Run(d); err != nil {
			t.Fatal(err)
		}
	}
	run(time.Minute)
	if c.whole+c.parts+len(c.octets) != 0 {
		t.Fatalf("a settled organisation sends %d records, %d patches", c.whole, c.parts)
	}
	worst := 0
	for range 100 {
		c.clear()
		w.Flip()
		run(5 * time.Second)
		if c.whole != 0 || c.parts == 0 {
			t.Fatalf("a change sends %d whole records and %d patches, want patches only", c.whole, c.parts)
		}
		worst = max(worst, c.most())
	}
	if worst > 300 {
		t.Errorf("a change costs an adjacency %d octets, want at most 300", worst)
	}
	t.Logf("%d servers, %d adjacencies, at most %d connectors for a server: at most %d octets for a change on one adjacency",
		w.Servers(), w.Adjacencies(), w.Connectors(), worst)

	// One server is cut off for some minutes, in which three links change elsewhere.
	c.clear()
	lone := w.All()[0]
	for _, s := range w.All()[1:] {
		w.Cut(lone, s)
		w.Cut(s, lone)
	}
	run(3 * time.Minute)
	for range 3 {
		w.Flip()
		run(5 * time.Second)
	}
	c.clear()
	w.Heal()
	run(3 * time.Minute)
	if w.Converge(time.Minute) == time.Minute {
		t.Fatal("the tables are not the same again")
	}
	// What was accused is refuted, what was probed is up: a few records, each to
	// every adjacency of a server; nothing like all tables to all.
	if all := w.Servers() * w.Adjacencies(); c.whole > all/10 {
		t.Errorf("%d whole records after one server came back; all tables over all adjacencies are %d", c.whole, all)
	}
	t.Logf("after a server came back: %d whole records, %d patches", c.whole, c.parts)
}
