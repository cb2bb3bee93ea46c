package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkBound sets Postroad beside two relays that do nothing but what none can
// do without, each in a process of its own: what the machine allows at best with
// Postroad's store, and with no store at all.
func BenchmarkBound(b *testing.B) {
	sink := newSink(b)
	relays := relaying(b, sink.Address())
	relays = append(relays[:1:1], startNull(b, onPebble, sink.Address()), startNull(b, onLog, sink.Address()))
	load := Load{Messages: messages, Size: 10 << 10, Sessions: 32, PerConn: 50, To: "someone@sink.test"}
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				rate[r.name] = append(rate[r.name], r.round(b, sink, load).relayed)
			}
		}
	}
	ours := median(rate["postroad"])
	for _, null := range []string{onPebble, onLog} {
		bound := median(rate[null])
		fmt.Printf("ratio: Postroad relays %.0f %% of what a relay without routes and queues does that keeps mail in %s (%.0f to %.0f)\n",
			100*ours/bound, null, ours, bound)
		b.ReportMetric(100*ours/bound, "%-of-null-"+null)
	}
}

// What a Null keeps mail in.
const (
	onPebble = "pebble"
	onLog    = "log"
)

// The process of a Null: its next hop, its folder, what it keeps mail in.
const (
	nullEnv   = "POSTROAD_BENCH_NULL"
	nullDir   = "POSTROAD_BENCH_NULL_DIR"
	nullStore = "POSTROAD_BENCH_NULL_STORE"
)

// runNull says its address on its output and relays until it is killed.
func runNull(next string) {
	var store keeper
	var err error
	if dir := os.Getenv(nullDir); os.Getenv(nullStore) == onLog {
		store, err = newJournal(dir)
	} else {
		store, err = newPebbleKeeper(dir)
	}
	var n *Null
	if err == nil {
		n, err = NewNull(store, next)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.Address())
	n.Serve()
}

func startNull(tb testing.TB, store, next string) relay {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nullEnv+"="+next, nullDir+"="+tb.TempDir(), nullStore+"="+store)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("the null relay did not start: %v", err)
	}
	return relay{store, strings.TrimSpace(address), func() []int { return []int{cmd.Process.Pid} }, func() {}, ""}
}

func TestNullRelays(t *testing.T) {
	for _, store := range []string{onPebble, onLog} {
		t.Run(store, func(t *testing.T) {
			sink, err := NewSink(200)
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			null := startNull(t, store, sink.Address())
			if _, err := (Load{null.address, 200, 3000, 4, 30, "x@sink.test", 0}).Send(); err != nil {
				t.Fatal(err)
			}
			if _, dups, missing := sink.Wait(10 * time.Second); dups != 0 || missing != 0 {
				t.Errorf("%d duplicates, %d missing", dups, missing)
			}
			if got := sink.Tally(); got.Transactions != 200 || got.Recipients != 200 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestFarLosesNothing sends through a long way; what comes out is whole.
func TestFarLosesNothing(t *testing.T) {
	sink, err := NewSink(20)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	far, err := NewFar(sink.Address(), 2*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, err := (Load{far.Address(), 20, 100 << 10, 2, 10, "x@sink.test", 1000}).Send(); err != nil {
		t.Fatal(err)
	}
	if _, dups, missing := sink.Wait(10 * time.Second); dups != 0 || missing != 0 || far.Connections() < 2 {
		t.Errorf("%d duplicates, %d missing, %d connections", dups, missing, far.Connections())
	}
}

func TestSendOneReachesAll(t *testing.T) {
	sink, err := NewSink(1)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := SendOne(sink.Address(), 1000, addresses(1201, 50)); err != nil {
		t.Fatal(err)
	}
	if got := sink.Tally(); got.Transactions != 1 || got.Recipients != 1201 {
		t.Errorf("%+v", got)
	}
}
