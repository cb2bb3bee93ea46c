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

// BenchmarkRelay alternates between the two relays, so that a slow moment of the
// machine does not hit only one of them, and reports the ratio of the medians.
func BenchmarkRelay(b *testing.B) {
	sink, err := NewSink(messages)
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	_, port, _ := strings.Cut(sink.Address(), ":")
	cluster := harness.Up(b, fmt.Sprintf(single, port))
	postfix := harness.StartPostfix(b, "unused.test", map[string]string{"sink.test": sink.Address()})
	relays := []struct {
		name, address string
		pids          func() []int
	}{
		{"postroad", cluster.Node("relay").SMTP, func() []int { return []int{cluster.Node("relay").PID} }},
		{"postfix", postfix.Address(), postfix.Processes},
	}
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				sink.Reset(messages)
				cpu := cpuSeconds(r.pids())
				start := time.Now()
				took, err := Load{r.address, messages, 10 << 10, 32, 50, "someone@sink.test"}.Send()
				if err != nil {
					b.Fatalf("%s: %v", r.name, err)
				}
				accepted := time.Since(start)
				last, dups, missing := sink.Wait(5 * time.Minute)
				if missing > 0 {
					b.Fatalf("%s lost %d messages", r.name, missing)
				}
				relayed := messages / last.Sub(start).Seconds()
				rate[r.name] = append(rate[r.name], relayed)
				slices.Sort(took)
				fmt.Printf("%-9s accepted %6.0f/s  relayed %6.0f/s  p50 %5.1f ms  p99 %6.1f ms  CPU %5.0f µs/msg  memory %4d MiB  duplicates %d\n",
					r.name, messages/accepted.Seconds(), relayed, ms(took[len(took)/2]), ms(took[len(took)*99/100]),
					(cpuSeconds(r.pids())-cpu)*1e6/messages, residentMiB(r.pids()), dups)
			}
		}
	}
	ours, theirs := median(rate["postroad"]), median(rate["postfix"])
	fmt.Printf("ratio: Postroad relays %.1f times as many messages per second as Postfix (%.0f to %.0f)\n", ours/theirs, ours, theirs)
	b.ReportMetric(ours, "postroad-msg/s")
	b.ReportMetric(theirs, "postfix-msg/s")
	b.ReportMetric(ours/theirs, "ratio")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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

func TestSinkCountsWhatItGets(t *testing.T) {
	sink, err := NewSink(20)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	took, err := Load{sink.Address(), 20, 1000, 4, 3, "x@sink.test"}.Send()
	if err != nil || len(took) != 20 {
		t.Fatalf("%d sent: %v", len(took), err)
	}
	if _, dups, missing := sink.Wait(10 * time.Second); dups != 0 || missing != 0 {
		t.Errorf("%d duplicates, %d missing", dups, missing)
	}
}
