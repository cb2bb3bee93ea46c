package bench

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const (
	messages = 10000
	rounds   = 3
)

// single is an organisation of one node that relays for loopback to a smart host.
const single = `
kind: Organization
name: bench
---
kind: RoutingGroup
name: here
---
kind: Server
name: relay
spec: {routingGroup: here, fqdn: relay.bench.test}
---
kind: VirtualServer
name: relay
spec:
  server: relay
  relay: {networks: [127.0.0.0/8]}
---
kind: SMTPConnector
name: out
spec:
  routingGroup: here
  localBridgeheads: [relay]
  smartHosts: ["[127.0.0.1]:%s"]
  addressSpaces: ["SMTP:*;1"]
`

// relay is one of the two that are measured.
type relay struct {
	name, address string
	pids          func() []int
	rest          func() // ends the work that a round left behind
	metrics       string // where profiles are asked for, if anywhere
}

func both(c *harness.Cluster, p *harness.Postfix) []relay {
	return []relay{
		{"postroad", c.Node("relay").SMTP, func() []int { return []int{c.Node("relay").PID} }, func() {}, c.Node("relay").Metrics},
		{"postfix", p.Address(), p.Processes, p.Empty, ""},
	}
}

// compare reports the medians of both and their ratio.
func compare(b *testing.B, verb, what string, rate map[string][]float64) {
	ours, theirs := median(rate["postroad"]), median(rate["postfix"])
	fmt.Printf("ratio: Postroad %s %.1f times as many %s per second as Postfix (%.0f to %.0f)\n", verb, ours/theirs, what, ours, theirs)
	b.ReportMetric(ours, "postroad-"+what+"/s")
	b.ReportMetric(theirs, "postfix-"+what+"/s")
	b.ReportMetric(ours/theirs, "ratio")
}

// compareCPU does so for what a message costs, in microseconds of CPU.
func compareCPU(b *testing.B, cost map[string][]float64) {
	ours, theirs := median(cost["postroad"]), median(cost["postfix"])
	fmt.Printf("ratio: a message costs Postfix %.1f times as much CPU as Postroad (%.0f µs to %.0f µs)\n", theirs/ours, theirs, ours)
	b.ReportMetric(theirs/ours, "cpu-ratio")
}

// percentiles of the time from MAIL to the last reply.
func percentiles(took []time.Duration) string {
	slices.Sort(took)
	ms := func(i int) float64 { return float64(took[i]) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %5.1f ms  p99 %6.1f ms", ms(len(took)/2), ms(len(took)*99/100))
}

func median(v []float64) float64 {
	v = slices.SortedFunc(slices.Values(v), cmp.Compare[float64])
	return v[len(v)/2]
}

// cpuSeconds adds up what processes and their ended children used. A Postfix
// process that ends between two calls is counted by its parent.
func cpuSeconds(pids []int) float64 {
	ticks := 0.0
	for _, f := range stats(pids) {
		for _, i := range []int{11, 12, 13, 14} { // utime, stime and those of the children
			v, _ := strconv.ParseFloat(f[i], 64)
			ticks += v
		}
	}
	return ticks / 100
}

func residentMiB(pids []int) int {
	pages := 0
	for _, f := range stats(pids) {
		n, _ := strconv.Atoi(f[21])
		pages += n
	}
	return pages * os.Getpagesize() >> 20
}

// stats are the fields of /proc/PID/stat behind the program's name.
func stats(pids []int) [][]string {
	var all [][]string
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // ended meanwhile
		}
		s := string(b)
		all = append(all, strings.Fields(s[strings.LastIndexByte(s, ')')+1:]))
	}
	return all
}

func TestDialoguesAreCounted(t *testing.T) {
	sink, err := NewSink(1)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := (Dialogues{sink.Address(), 5, 2, 3}).Run(); err != nil {
		t.Error(err)
	}
}

// TestMain is the process of a [Null] instead if nullEnv says where its next hop is.
func TestMain(m *testing.M) {
	if next := os.Getenv(nullEnv); next != "" {
		runNull(next)
	}
	os.Exit(m.Run())
}

func TestSinkCountsWhatItGets(t *testing.T) {
	sink, err := NewSink(20)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	took, err := Load{sink.Address(), 20, 1000, 4, 3, "x@sink.test", 0}.Send()
	if err != nil || len(took) != 20 {
		t.Fatalf("%d sent: %v", len(took), err)
	}
	if _, dups, missing := sink.Wait(10 * time.Second); dups != 0 || missing != 0 {
		t.Errorf("%d duplicates, %d missing", dups, missing)
	}
}
