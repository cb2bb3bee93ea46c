package bench

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// BenchmarkAccept measures what it costs to take responsibility: messages go to
// disk and stay there, because the next hop is away. Postfix is measured so, and
// once more with everything put on hold at RCPT, so that its queue manager never
// sees a message. What Postfix holds is deleted after each round, since its tries
// would disturb the next one; Postroad's stays. Postfix's brake for arrivals that outrun deliveries is off.
func BenchmarkAccept(b *testing.B) {
	relays := idle(b)
	hold := harness.StartPostfix(b, "held.test", map[string]string{"sink.test": "127.0.0.1:9"}, flood,
		"smtpd_recipient_restrictions = check_recipient_access static:HOLD, permit_mynetworks, reject")
	relays = append(relays, relay{"held", hold.Address(), hold.Processes, hold.Empty, ""})
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				ready := r.profile(b)
				cpu, start := cpuSeconds(r.pids()), time.Now()
				took, err := Load{r.address, messages, 10 << 10, 32, 50, "someone@sink.test", 0}.Send()
				if err != nil {
					b.Fatalf("%s: %v", r.name, err)
				}
				accepted := messages / time.Since(start).Seconds()
				ready()
				r.rest()
				rate[r.name] = append(rate[r.name], accepted)
				fmt.Printf("%-9s accepted %6.0f/s  %s  CPU %5.0f µs/msg  memory %4d MiB\n",
					r.name, accepted, percentiles(took), (cpuSeconds(r.pids())-cpu)*1e6/messages, residentMiB(r.pids()))
			}
		}
	}
	compare(b, "accepts", "messages", rate)
	fmt.Printf("ratio: %.1f times as many as Postfix with everything on hold (%.0f)\n", median(rate["postroad"])/median(rate["held"]), median(rate["held"]))
}

// BenchmarkSessions counts connections that are greeted, say EHLO and QUIT.
func BenchmarkSessions(b *testing.B) {
	relays := idle(b)
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				const n = 4000
				start := time.Now()
				if err := (Dialogues{r.address, n, 32, 0}).Run(); err != nil {
					b.Fatalf("%s: %v", r.name, err)
				}
				rate[r.name] = append(rate[r.name], n/time.Since(start).Seconds())
			}
		}
	}
	compare(b, "serves", "sessions", rate)
}

// BenchmarkCommands counts MAIL, RCPT and RSET, pipelined as clients do.
func BenchmarkCommands(b *testing.B) {
	relays := idle(b)
	rate := make(map[string][]float64)
	for b.Loop() {
		for range rounds {
			for _, r := range relays {
				const sessions, groups = 320, 20
				start := time.Now()
				if err := (Dialogues{r.address, sessions, 32, groups}).Run(); err != nil {
					b.Fatalf("%s: %v", r.name, err)
				}
				rate[r.name] = append(rate[r.name], sessions*(2+groups*perGroup)/time.Since(start).Seconds())
			}
		}
	}
	compare(b, "answers", "commands", rate)
}

// flood lets Postfix take mail faster than it delivers.
const flood = "in_flow_delay = 0"

// idle starts both with nowhere to send to.
func idle(b *testing.B) []relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	l.Close() // nobody listens there any more
	cluster := harness.Up(b, fmt.Sprintf(single, port), upFlags()...)
	return both(cluster, harness.StartPostfix(b, "unused.test", map[string]string{"sink.test": "127.0.0.1:" + port}, flood))
}
