package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
)

var (
	seeds = flag.Int("seeds", 300, "how many seeds to simulate")
	first = flag.Uint64("first-seed", 1, "the first of them")
)

// config draws the shape of a world from its seed.
func config(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 42))
	return Config{
		Seed:      seed,
		Groups:    2 + r.IntN(5),
		Servers:   1 + r.IntN(4),
		Extra:     r.IntN(6),
		Delay:     time.Duration(1+r.IntN(100)) * time.Millisecond,
		Loss:      []float64{0, 0.01, 0.1}[r.IntN(3)],
		Duplicate: []float64{0, 0.1}[r.IntN(2)],
		Timings: linkstate.Timings{
			Keepalive: time.Second, SuspectAfter: 4 * time.Second,
			RefuteWithin: 2 * time.Second, AntiEntropy: 10 * time.Second,
		},
		Detection: linkstate.Detection{
			GlitchRetries: r.IntN(3), GlitchInterval: 2 * time.Second, ProbeInterval: 3 * time.Second,
		},
	}
}

// quiet is enough for: noticing a silent stream, the patience for servers that
// were never heard (three times SuspectAfter), refuting, a glitch with all its
// retries, a probe, and one round of anti-entropy.
const quiet = 40 * time.Second

func simulate(seed uint64) error {
	w := New(config(seed))
	for range 25 {
		if err := w.Run(w.upTo(4 * time.Second)); err != nil {
			return err
		}
		w.Trouble()
	}
	w.Calm()
	w.Heal()
	if seed%2 == 0 {
		w.Split()
		if err := w.Run(quiet); err != nil {
			return err
		}
		if err := w.Agreed(); err != nil {
			return fmt.Errorf("while split: %w", err)
		}
		w.Heal()
	}
	if err := w.Run(quiet); err != nil {
		return err
	}
	return w.Agreed()
}

func TestSeeds(t *testing.T) {
	const workers = 4
	for worker := range uint64(workers) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for i := worker; i < uint64(*seeds); i += workers {
				if err := simulate(*first + i); err != nil {
					t.Errorf("%v\nagain: go test ./linkstate/sim -run TestSeeds -seeds 1 -first-seed %d", err, *first+i)
					return
				}
			}
		})
	}
}
