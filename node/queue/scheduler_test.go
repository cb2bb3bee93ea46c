package queue

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// The scheduler decides and does nothing else: none of its files may bring in a
// clock, a lock or I/O.
func TestSchedulerIsPure(t *testing.T) {
	pure := []string{"clock.go", "effect.go", "info.go", "intake.go", "key.go", "ring.go", "scheduler.go", "asked.go", "shut.go", "tag.go", "timers.go", "window.go"}
	files, err := filepath.Glob("sched_*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	pure = append(pure, files...)
	banned := []string{"context", "sync", "os", "net", "io", "math/rand", "math/rand/v2", "go.uber.org/zap", "github.com/postroad/postroad/store/spool"}
	for _, name := range pure {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); slices.Contains(banned, path) {
				t.Errorf("%s imports %s; that belongs into the runner", name, path)
			}
		}
	}
}

// No entry is lost, none is in flight twice, none leaves that is frozen or was not asked for, no time
// runs for one that is held, retry times hold, order survives a change of the map,
// whatever happens in whatever order.
func TestSchedulerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { w.check() },
			"reserve": func(*rapid.T) { w.reserve() },
			"confirm": func(*rapid.T) { w.confirm() },
			"fill":    func(*rapid.T) { w.fill() },
			"take":    func(*rapid.T) { w.take() },
			"take2":   func(*rapid.T) { w.take(); w.take() },
			"settle":  func(*rapid.T) { w.settle() },
			"overdue": func(*rapid.T) { w.settleOverdue() },
			"close":   func(*rapid.T) { w.close(false) },
			"fail":    func(*rapid.T) { w.close(true) },
			"rebuild": func(*rapid.T) { w.rebuild() },
			"reroute": func(*rapid.T) { w.reroute() },
			"doubt":   func(*rapid.T) { w.doubt() },
			"retry": func(*rapid.T) {
				w.forgetClocks()
				for name, entries := range w.disk {
					for id := range entries {
						w.hurried[entryName(name, id)] = true
					}
				}
				w.s.Retry(nil, false, w.now)
				w.effects()
			},
			"ask":      func(*rapid.T) { w.ask() },
			"freeze":   func(*rapid.T) { w.freeze() },
			"thaw":     func(*rapid.T) { w.thaw() },
			"outbound": func(*rapid.T) { w.setOutbound() },
			"like":     func(*rapid.T) { w.setLike() },
			"rule":     func(*rapid.T) { w.setRule() },
			"order":    func(*rapid.T) { w.order() },
			"carry out": func(t *rapid.T) {
				if len(w.orders) > 0 {
					w.carryOut(rapid.IntRange(0, len(w.orders)-1).Draw(t, "order"))
				}
			},
			"seconds": func(t *rapid.T) { w.advance(rapid.Int64Range(0, 20_000).Draw(t, "ms")) },
			"hours":   func(t *rapid.T) { w.advance(rapid.Int64Range(0, 3*3_600_000).Draw(t, "ms")) },
		})
		w.finish()
	})
}

// High goes before low, and low does not starve.
func TestPriorities(t *testing.T) {
	s := NewScheduler(alone(Limits{}, testClock))
	hop := mail.Hop{Kind: mail.HopMX, Domain: "x"}
	for _, p := range []mail.Priority{mail.PriorityLow, mail.PriorityNormal, mail.PriorityHigh} {
		k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x"}, mail.Class{Priority: p}, nil)
		s.AddQueue(k, hop, false, 1)
		for i := range 160 {
			ref := Ref{ID: mail.ID{byte(p + 2), byte(i)}, Due: 1, Created: 1}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, 1)
		}
	}
	var dial Effect
	for _, e := range s.Effects() {
		if e.Kind == EffectDial {
			dial = e
		}
	}
	count := map[byte]int{}
	for range 160 {
		count[s.Take(dial.Conn, 2)[0].Ref.ID[0]]++
	}
	if want := map[byte]int{3: 100, 2: 50, 1: 10}; fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("of 160 turns: %v, want %v", count, want)
	}
}

// A second connection that the peer refuses lowers the number allowed; it does
// not stop the link.
func TestPeerWantsFewerConnections(t *testing.T) {
	s := NewScheduler(alone(Limits{PerConnection: 1, PerLink: 4}, testClock))
	k := keyFor(1)
	s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, false, 1)
	for i := range 20 {
		ref := Ref{ID: mail.ID{byte(i + 1)}, Due: 1, Created: 1}
		s.Reserve(k.Name(), ref.ID)
		s.Commit(k.Name(), ref, 1)
	}
	for range 2 {
		s.Take(1, 1)
		s.Worked(1, 1)
	}
	dials := 0
	for _, e := range s.Effects() {
		if e.Kind == EffectDial {
			dials++
		}
	}
	if dials != 3 {
		t.Fatalf("%d connections after two messages taken, want 3", dials)
	}
	s.Closed(2, Ending{Err: "421 too many connections"}, 1)
	s.Closed(3, Ending{Err: "421 too many connections"}, 1)
	s.Effects()
	s.Take(1, 1)
	for _, e := range s.Effects() {
		if e.Kind == EffectDial {
			t.Error("dialled again at once though the peer refused")
		}
	}
	if q := s.List(1)[0]; q.State != Active {
		t.Errorf("state %v, want active", q.State)
	}
}

func TestConnectionsRunOut(t *testing.T) {
	s := NewScheduler(alone(Limits{Connections: 1}, testClock))
	for d := range 2 {
		k := keyFor(d)
		s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: strconv.Itoa(d)}, false, 1)
		s.Reserve(k.Name(), mail.ID{1})
		s.Commit(k.Name(), Ref{ID: mail.ID{1}, Due: 1, Created: 1}, 1)
	}
	waits := ""
	for _, q := range s.List(1) {
		waits += q.WaitingFor
	}
	if waits != "a free connection: all 1 are in use" {
		t.Errorf("waiting for %q", waits)
	}
	first := s.Effects()
	taken := s.Take(1, 1)
	s.Gone(taken[0].Queue, taken[0].Ref.ID, 1)
	if s.Take(1, 1) != nil || s.Idle(1, 1) != RestClose {
		t.Fatal("the connection has nothing to do, and somebody waits for its place")
	}
	s.Closed(1, Ending{}, 3)
	var dial []string
	for _, e := range s.Effects() {
		dial = append(dial, e.Hop.Domain)
	}
	if len(first) != 1 || strings.Join(dial, "") != "1" {
		t.Errorf("first %+v, then dialled %v", first, dial)
	}
}

// An idle connection makes room for a link that has none.
func TestIdleConnectionMakesRoom(t *testing.T) {
	s := NewScheduler(alone(Limits{Connections: 1}, testClock))
	hop := func(d int) mail.Hop { return mail.Hop{Kind: mail.HopMX, Domain: strconv.Itoa(d)} }
	put(s, keyFor(0), hop(0), 1, 1)
	taken := s.Take(1, 1)
	s.Gone(taken[0].Queue, taken[0].Ref.ID, 1)
	if s.Take(1, 1) != nil || s.Idle(1, 1) != RestSleep {
		t.Fatal("the connection should stay")
	}
	s.Effects()
	put(s, keyFor(1), hop(1), 2, 2)
	put(s, keyFor(1), hop(1), 3, 2)
	if got := s.Effects(); len(got) != 1 || got[0].Kind != EffectHangUp || got[0].Conn != 1 {
		t.Fatalf("%+v, want that connection 1 hangs up, once", got)
	}
	s.Closed(1, Ending{}, 3)
	if got := s.Effects(); len(got) != 1 || got[0].Kind != EffectDial || got[0].Hop.Domain != "1" {
		t.Errorf("then %+v", got)
	}
}
