package mailsim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/linkstate/sim"
	"github.com/postroad/postroad/routing"
)

var (
	seeds = flag.Int("seeds", 400, "how many seeds to simulate")
	first = flag.Uint64("first-seed", 1, "the first of them")
)

func config(seed uint64) sim.Config {
	r := rand.New(rand.NewPCG(seed, 42))
	return sim.Config{
		Seed:      seed,
		Groups:    2 + r.IntN(5),
		Servers:   1 + r.IntN(3),
		Extra:     r.IntN(6),
		Delay:     time.Duration(1+r.IntN(200)) * time.Millisecond,
		Loss:      []float64{0, 0.05}[r.IntN(2)],
		Duplicate: []float64{0, 0.1}[r.IntN(2)],
		Timings: linkstate.Timings{
			Keepalive: time.Second, SuspectAfter: 4 * time.Second,
			RefuteWithin: 2 * time.Second, AntiEntropy: 10 * time.Second,
		},
		Detection: linkstate.Detection{
			GlitchRetries: r.IntN(2), GlitchInterval: 2 * time.Second, ProbeInterval: 3 * time.Second,
			Damping: linkstate.Damping{Disabled: r.IntN(2) == 0},
		},
	}
}

// quiet: see linkstate/sim.
const quiet = 80 * time.Second

func simulate(seed uint64) error {
	w := sim.New(config(seed))
	p := newPost(w)
	for range 25 {
		if err := w.Run(w.UpTo(4 * time.Second)); err != nil {
			return err
		}
		all := w.Directory().Servers
		for range 3 {
			from, home := all[w.Pick(len(all))].Server, all[w.Pick(len(all))].Server
			if _, _, runs := w.Knows(from); runs && !p.groups[from].IsZero() {
				p.write(from, home)
			}
		}
		w.Trouble()
	}
	w.Calm()
	w.Heal()
	if err := w.Settle(quiet); err != nil {
		return err
	}
	// Time for the mail to move: it may find out only now that a link is down, and
	// turn round.
	for wait := 10 * time.Second; wait <= time.Minute && (wait == 10*time.Second || p.restless()); wait += 10 * time.Second {
		if err := w.Run(10 * time.Second); err != nil {
			return err
		}
	}
	w.After(0, p.followAll)
	w.After(0, p.account)
	return w.Run(time.Second)
}

// followAll follows the next hops from each server to each other, from node to node
// as each of them decides: no way may lead in circles once all agree.
func (p *post) followAll() {
	all := p.w.Directory().Servers
	for _, from := range all {
		for _, to := range all {
			p.follow(from.Server, to.Server)
		}
	}
}

func (p *post) follow(from, to linkstate.GUID) {
	been := map[linkstate.GUID]bool{}
	for at := from; ; {
		routes := p.routes(at)
		if routes == nil {
			return // it does not run; who sends there, finds out
		}
		if been[at] {
			p.w.Break("the way from %s to %s comes to %s again", sim.Label(from), sim.Label(to), sim.Label(at))
			return
		}
		been[at] = true
		d := routes.ToServer(routing.GUID(to), nil)
		if d.Kind != routing.ToNode {
			return
		}
		at = linkstate.GUID(d.Next)
	}
}

// account: every message was delivered once, or was reported, or lies where it can
// be seen why: its server does not run, or says that there is no way.
func (p *post) account() {
	for _, m := range p.messages {
		if m.delivered > 1 {
			p.w.Break("message %d was delivered %d times", m.id, m.delivered)
		}
		if d, could := p.couldMove(m); could {
			p.w.Break("message %d from %s to %s lies at %s though it could move: %s to %s", m.id, way(m.visited[:1]), sim.Label(m.home),
				sim.Label(m.at), d.Kind, sim.Label(linkstate.GUID(d.Next)))
		}
	}
}

// restless says whether a message can still move.
func (p *post) restless() bool {
	return slices.ContainsFunc(p.messages, func(m *message) bool {
		_, could := p.couldMove(m)
		return could || m.travels
	})
}

// couldMove says whether a message lies where its server would send it on.
func (p *post) couldMove(m *message) (routing.Decision, bool) {
	routes := p.routes(m.at)
	if m.delivered > 0 || m.reported != "" || m.travels || routes == nil {
		return routing.Decision{}, false
	}
	d := routes.ToServer(routing.GUID(m.home), &routing.Message{Visited: m.visited})
	if d.Kind == routing.Unreachable || d.Kind == routing.Loop {
		return d, false
	}
	// A link that is suppressed, say, and still fails; or hosts of which nobody
	// could tell yet that they do not run.
	answers := slices.ContainsFunc(d.NextServers, func(n routing.GUID) bool { return p.w.Passes(m.at, linkstate.GUID(n)) })
	return d, d.Kind != routing.ToNode || answers && p.w.Works(linkstate.GUID(d.Via))
}

func TestMailSeeds(t *testing.T) {
	const workers = 4
	for worker := range uint64(workers) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for i := worker; i < uint64(*seeds); i += workers {
				if err := simulate(*first + i); err != nil {
					t.Errorf("%v\nagain: go test ./node/topo/mailsim -run TestMailSeeds -seeds 1 -first-seed %d", err, *first+i)
					return
				}
			}
		})
	}
}

// The rules themselves must be able to fail.
func TestRulesCatchFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(p *post, here, there linkstate.GUID)
		want  string
	}{
		"a group twice": {func(p *post, here, there linkstate.GUID) {
			m := &message{home: there}
			for _, s := range []linkstate.GUID{here, there, here} {
				p.arrive(m, s)
			}
		}, "enters group"},
		"delivered twice": {func(p *post, here, there linkstate.GUID) {
			p.messages = append(p.messages, &message{home: there, at: there, delivered: 2})
			p.account()
		}, "delivered 2 times"},
		"left lying": {func(p *post, here, there linkstate.GUID) {
			p.messages = append(p.messages, &message{home: here, at: here, visited: []routing.GUID{routing.GUID(p.groups[here])}})
			p.account()
		}, "though it could move"},
	} {
		t.Run(name, func(t *testing.T) {
			w := sim.New(config(3))
			p := newPost(w)
			if err := w.Run(quiet); err != nil {
				t.Fatal(err)
			}
			here := w.Directory().Servers[0]
			for _, s := range w.Directory().Servers {
				if s.Group != here.Group {
					w.After(0, func() { c.fault(p, here.Server, s.Server) })
					break
				}
			}
			if err := w.Run(time.Millisecond); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
