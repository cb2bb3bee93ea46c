package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// BenchmarkRelay takes mail in and sends it on at the same time. It alternates
// between the two relays, so that a slow moment of the machine does not hit only
// one of them, and reports the ratio of the medians.
func BenchmarkRelay(b *testing.B) {
	for _, row := range []struct {
		name string
		load Load
	}{
		{"10KiB/32", Load{Messages: messages, Size: 10 << 10, Sessions: 32}},
		{"10KiB/256", Load{Messages: messages, Size: 10 << 10, Sessions: 256}},
		{"1MiB/32", Load{Messages: 300, Size: 1 << 20, Sessions: 32}},
	} {
		b.Run(row.name, func(b *testing.B) {
			row.load.PerConn, row.load.To = 50, "someone@sink.test"
			sink := newSink(b)
			relays := relaying(b, sink.Address(), manyClients...)
			rate, cost := make(map[string][]float64), make(map[string][]float64)
			for b.Loop() {
				for range rounds {
					for _, r := range relays {
						f := r.round(b, sink, row.load)
						rate[r.name], cost[r.name] = append(rate[r.name], f.relayed), append(cost[r.name], f.cpu)
					}
				}
			}
			compare(b, "relays", "messages", rate)
			compareCPU(b, cost)
		})
	}
}

// BenchmarkHalfLoad measures how long a client waits for its 250 when messages
// come in even steps, half as many as the relay could take; it is asked first how
// many that is. Postroad is asked once more at Postfix's half. The time counts from when a
// message was due.
func BenchmarkHalfLoad(b *testing.B) {
	const seconds = 5
	sink := newSink(b)
	relays := relaying(b, sink.Address())
	full := Load{Messages: messages / 2, Size: 10 << 10, Sessions: 32, PerConn: 50, To: "someone@sink.test"}
	late := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			var half Load
			p99 := func(r relay, row string) {
				late[row] = append(late[row], float64(r.round(b, sink, half).p99)/float64(time.Millisecond))
			}
			for _, r := range relays { // Postfix comes last
				half = full
				half.Rate = r.round(b, sink, full).relayed / 2
				half.Messages = int(half.Rate * seconds)
				p99(r, r.name)
			}
			p99(relays[0], "postroad at Postfix's")
		}
	}
	ours, same, theirs := median(late["postroad"]), median(late["postroad at Postfix's"]), median(late["postfix"])
	fmt.Printf("at half load 99 of 100 clients wait at most %.1f ms for Postroad's 250, %.1f ms for Postfix's; at Postfix's half load %.1f ms for Postroad's\n",
		ours, theirs, same)
	b.ReportMetric(ours, "postroad-p99-ms")
	b.ReportMetric(same, "postroad-same-load-p99-ms")
	b.ReportMetric(theirs, "postfix-p99-ms")
}

// BenchmarkFar relays over one connection to a next hop 100 ms away. Postfix gets
// fewer messages, since it would take minutes otherwise.
func BenchmarkFar(b *testing.B) {
	const roundTrip = 100 * time.Millisecond
	sink := newSink(b)
	far, err := NewFar(sink.Address(), roundTrip)
	if err != nil {
		b.Fatal(err)
	}
	defer far.Close()
	_, port, _ := strings.Cut(far.Address(), ":")
	cluster := harness.Up(b, fmt.Sprintf(strings.Replace(single, "  relay: {", "  outbound: {maxConnectionsPerLink: 1}\n  relay: {", 1), port), upFlags()...)
	relays := both(cluster, harness.StartPostfix(b, "unused.test", map[string]string{"sink.test": far.Address()},
		"initial_destination_concurrency = 1", "default_destination_concurrency_limit = 1"))
	count := map[string]int{"postroad": 1000, "postfix": 30}
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				before := far.Connections()
				f := r.round(b, sink, Load{Messages: count[r.name], Size: 10 << 10, Sessions: 8, PerConn: 50, To: "someone@sink.test"})
				fmt.Printf("%-9s opened %d connections\n", r.name, far.Connections()-before)
				rate[r.name] = append(rate[r.name], f.relayed)
			}
		}
	}
	compare(b, "relays over one long connection", "messages", rate)
}

// BenchmarkFanOut relays one message for 10,000 recipients at 50 domains.
func BenchmarkFanOut(b *testing.B) {
	const recipients, domains = 10000, 50
	sink := newSink(b)
	_, port, _ := strings.Cut(sink.Address(), ":")
	routes := map[string]string{}
	for i := range domains {
		routes[fmt.Sprintf("d%d.sink.test", i)] = sink.Address()
	}
	cluster := harness.Up(b, strings.Replace(fmt.Sprintf(single, port), "name: bench\n", "name: bench\nspec: {maxRecipients: 20000}\n", 1), upFlags()...)
	relays := both(cluster, harness.StartPostfix(b, "unused.test", routes, fmt.Sprintf("smtpd_recipient_limit = %d", recipients)))
	to := addresses(recipients, domains)
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				sink.Reset(1)
				cpu, start := cpuSeconds(r.pids()), time.Now()
				if err := SendOne(r.address, 10<<10, to); err != nil {
					b.Fatalf("%s: %v", r.name, err)
				}
				accepted := time.Since(start)
				harness.Eventually(b, 2*time.Minute, func() error {
					if n := sink.Tally().Recipients; n != recipients {
						return fmt.Errorf("%s: %d of %d recipients got the message", r.name, n, recipients)
					}
					return nil
				})
				t := sink.Tally()
				took := t.Last.Sub(start)
				fmt.Printf("%-9s accepted after %4.0f ms  all have it after %5.0f ms, in %3d transactions  CPU %4.0f ms\n",
					r.name, ms(accepted), ms(took), t.Transactions, (cpuSeconds(r.pids())-cpu)*1000)
				rate[r.name] = append(rate[r.name], recipients/took.Seconds())
			}
		}
	}
	compare(b, "serves", "recipients", rate)
}

// manyClients lets Postfix talk to all clients at once.
var manyClients = []string{"default_process_limit = 400"}

func newSink(b *testing.B) *Sink {
	sink, err := NewSink(messages)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sink.Close)
	return sink
}

// relaying starts both with a next hop on loopback.
func relaying(b *testing.B, next string, settings ...string) []relay {
	_, port, _ := strings.Cut(next, ":")
	cluster := harness.Up(b, fmt.Sprintf(single, port), upFlags()...)
	return both(cluster, harness.StartPostfix(b, "unused.test", map[string]string{"sink.test": next}, settings...))
}

// figures of a round; rates are messages per second, cpu is microseconds a message.
type figures struct {
	accepted, relayed, cpu float64
	p99                    time.Duration
}

// round sends a load through the relay and waits until all of it has arrived.
func (r relay) round(b *testing.B, sink *Sink, l Load) figures {
	l.Target = r.address
	sink.Reset(l.Messages)
	defer r.profile(b)()
	cpu, start := cpuSeconds(r.pids()), time.Now()
	took, err := l.Send()
	if err != nil {
		b.Fatalf("%s: %v", r.name, err)
	}
	n := float64(l.Messages)
	f := figures{accepted: n / time.Since(start).Seconds()}
	last, dups, missing := sink.Wait(5 * time.Minute)
	if missing > 0 {
		b.Fatalf("%s lost %d messages", r.name, missing)
	}
	f.relayed = n / last.Sub(start).Seconds()
	f.cpu = (cpuSeconds(r.pids()) - cpu) * 1e6 / n
	fmt.Printf("%-9s accepted %6.0f/s  relayed %6.0f/s  %s  CPU %5.0f µs/msg  memory %4d MiB  duplicates %d\n",
		r.name, f.accepted, f.relayed, percentiles(took), f.cpu, residentMiB(r.pids()), dups)
	f.p99 = took[len(took)*99/100] // percentiles has sorted them
	return f
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
