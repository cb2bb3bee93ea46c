package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a runner among fakes.
type rig struct {
	*Runner
	store    *fakeStore
	router   *fakeRouter
	agent    *fakeAgent
	dir      *fakeCategorizer
	reporter *fakeReporter

	mu     sync.Mutex
	events []string
	links  []string

	stop func() error
}

var testClock = Clock{
	First: time.Minute, Second: 2 * time.Minute, Third: 3 * time.Minute, Subsequent: 5 * time.Minute,
	DelayNotice: time.Hour, Expiration: 4 * time.Hour, Glitch: 2, GlitchWait: 10 * time.Second,
}

func newRig() *rig {
	return &rig{store: newFakeStore(), router: &fakeRouter{}, agent: &fakeAgent{}, dir: &fakeCategorizer{}, reporter: &fakeReporter{}}
}

// config is a runner's, with what the rig has.
func (g *rig) config() Config {
	return Config{
		Store: g.store, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter,
		Clock: testClock, Workers: 2,
		Events: func(e mail.Event) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.events = append(g.events, fmt.Sprintf("%s %s %s", e.Kind, strings.Join(e.Recipients, ","), e.Status))
		},
		Links: func(_ mail.GUID, ok bool, reason string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.links = append(g.links, fmt.Sprint(ok, " ", reason))
		},
	}
}

func (g *rig) start(change ...func(*Config)) *rig {
	c := g.config()
	for _, f := range change {
		f(&c)
	}
	g.Runner = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.stop = func() error { cancel(); return <-done }
	return g
}

// heard is what link state was told.
func (g *rig) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.links)
}

func (g *rig) send(n int, rcpts ...string) *mail.Envelope {
	env := envelope(n, rcpts...)
	g.store.accept(env)
	g.Enqueue(env.ID, env)
	return env
}

func (g *rig) queue(t *testing.T, kind string) Info {
	t.Helper()
	for _, q := range g.List() {
		if q.Kind == kind {
			return q
		}
	}
	t.Fatalf("no queue %q in %+v; delivered %q, dialled %q, events %q", kind, g.List(), g.agent.got(), g.agent.dialled(), g.events)
	return Info{}
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// alone are the terms of a node all of whose mail is sent by one virtual server.
func alone(l Limits, c Clock) Senders { return Senders{Default: Terms{Clock: c, Limits: l}} }
