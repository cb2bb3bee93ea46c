package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// found runs a search to its end, page by page, and gives "ID queue" of each row.
func found(t interface{ Fatal(...any) }, r *Runner, s Search) []string {
	var out []string
	for pages := 0; ; pages++ {
		got, err := r.Find(s)
		if err != nil || pages > 10_000 {
			t.Fatal(err, pages)
		}
		for _, m := range got.Messages {
			out = append(out, m.ID.String()+" "+m.Queue)
		}
		if got.Next == nil {
			return out
		}
		if got.Next.Compare(s.After) <= 0 {
			t.Fatal("a page leads back", got.Next, s.After)
		}
		s.After = *got.Next
	}
}

// waitingMail is a runner with mail for five domains that nobody takes.
func waitingMail(t *testing.T, g *rig, n int) {
	t.Helper()
	for i := range n {
		var to []string
		for d := range i%3 + 1 {
			to = append(to, fmt.Sprintf("b@d%d.example", (i+d)%5))
		}
		env := envelope(i, to...)
		if i%4 == 0 {
			env.From = mail.Address{Local: fmt.Sprintf("s%d", i), Domain: "news.example"}
		}
		g.store.accept(env)
		g.Enqueue(env.ID, env)
	}
	synctest.Wait()
}

func parse(t interface{ Fatal(...any) }, text string) *filter.Filter {
	f, err := filter.Parse(filter.Messages, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Whatever the size of a page, and whether it is found by keys or by walking, a
// search gives every row that is meant once, in order.
func TestSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		for d := range 5 {
			g.router.set(fmt.Sprintf("SMTP:d%d.example", d), mail.Hop{Kind: mail.HopUnreachable, Name: fmt.Sprintf("hop%d", d), Reason: "down"})
		}
		g.start()
		waitingMail(t, g, 60)
		all := found(t, g.Runner, Search{Limit: 1000})
		if len(all) != 120 || !slices.IsSorted(all) {
			t.Fatalf("%d rows, want 120 in order: %q", len(all), all)
		}
		d2 := ""
		for _, q := range g.List() {
			if q.Destination.Domain == "d2.example" {
				d2 = q.ID
			}
		}
		for text, want := range map[string]int{
			`sender ~ *@news.example`:                          30,
			`recipient = b@D2.example`:                         24,
			`recipient ~ *@d2.example and nexthop = hop2`:      24,
			`nexthop = hop2`:                                   24,
			`nexthop = nowhere`:                                0,
			`not nexthop = hop2`:                               96,
			`state = waiting and size = 1000`:                  120,
			`state = retry or size > 1000`:                     0,
			`age >= 0s and priority = normal and attempts = 0`: 120,
			`age > 1m`:                      0,
			`queue = ` + d2:                 24,
			`kind ~ final* and node = n1`:   120,
			`destination = SMTP:d2.example`: 24,
			`destination = d2.example`:      24,
			`destination != D2.example`:     96,
			`error = ""`:                    120,
			`message-id = ""`:               120,
		} {
			for _, limit := range []int{1, 7, 1000} {
				for _, walk := range []bool{false, true} {
					s := Search{Filter: parse(t, text), Limit: limit, Node: "n1", walk: walk, Destination: func(q Info) string { return q.Destination.String() }}
					got := found(t, g.Runner, s)
					if len(got) != want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != want {
						t.Errorf("%s, %d a page, walking %v: %d rows, want %d", text, limit, walk, len(got), want)
					}
				}
			}
		}
		for _, walk := range []bool{false, true} {
			if got := found(t, g.Runner, Search{Queue: IDUnreachable, Limit: 9, walk: walk}); !slices.Equal(got, all) {
				t.Errorf("by the kind's ID: %d rows", len(got))
			}
			if got := found(t, g.Runner, Search{Queue: d2, Limit: 5, walk: walk}); len(got) != 24 || !strings.HasSuffix(got[0], d2) {
				t.Errorf("by the queue's ID: %q", got)
			}
		}
		if got := found(t, g.Runner, Search{Queue: "nowhere"}); len(got) != 0 {
			t.Errorf("in no queue: %q", got)
		}
		g.stop()
	})
}

// A page that takes too long ends before it is full, and the next goes on from there.
func TestSearchBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		var slow, each atomic.Int64 // how much later it is, and becomes each time somebody asks
		g.start(func(c *Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Duration(slow.Add(each.Load()))) }
		})
		for i := range 1000 {
			g.send(i, "b@x")
		}
		synctest.Wait()
		each.Store(int64(time.Second))
		s := Search{Filter: parse(t, `sender = nobody@x`), Budget: time.Second, walk: true}
		for pages, looked := 1, 0; ; pages++ {
			got, err := g.Find(s)
			if err != nil || len(got.Messages) > 0 {
				t.Fatal(got, err)
			}
			if looked += got.Looked; got.Next == nil {
				if pages < 7 || looked < 1000 {
					t.Errorf("%d pages, looked at %d", pages, looked)
				}
				break
			}
			s.After = *got.Next
		}
		each.Store(0)
		g.stop()
	})
}

// Mail comes and goes between the pages: what stays is found once all the same.
func TestSearchIsStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := newFakeStore()
		router := &fakeRouter{}
		r := New(Config{Store: store, Router: router, Agent: &fakeAgent{}, Categorizer: &fakeCategorizer{}, Reporter: &fakeReporter{}})
		next := 0
		put := func() mail.ID {
			next++
			env := envelope(rapid.IntRange(0, 1<<20).Draw(rt, "n")<<6+next, "b@x") // no two are the same
			store.accept(env)
			return env.ID
		}
		stays, goes := map[string]bool{}, []mail.ID{}
		for range rapid.IntRange(1, 20).Draw(rt, "messages") {
			if id := put(); rapid.Bool().Draw(rt, "stays") {
				stays[id.String()] = true
			} else {
				goes = append(goes, id)
			}
		}
		s := Search{Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), walk: rapid.Bool().Draw(rt, "walk")}
		seen := map[string]int{}
		for pages := 0; pages < 100; pages++ {
			got, err := r.Find(s)
			if err != nil {
				rt.Fatal(err)
			}
			for _, m := range got.Messages {
				seen[m.ID.String()]++
			}
			if got.Next == nil {
				break
			}
			s.After = *got.Next
			if len(goes) > 0 && rapid.Bool().Draw(rt, "one goes") {
				delete(store.msgs, [16]byte(goes[0]))
				goes = goes[1:]
			}
			if next < 40 && rapid.Bool().Draw(rt, "one comes") {
				put()
			}
		}
		for id := range stays {
			if seen[id] != 1 {
				rt.Fatalf("%s was found %d times", id, seen[id])
			}
		}
		for id, n := range seen {
			if n != 1 {
				rt.Fatalf("%s was found %d times", id, n)
			}
		}
	})
}

func TestShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		for d := range 2 {
			g.router.set(fmt.Sprintf("SMTP:d%d.example", d), mail.Hop{Kind: mail.HopUnreachable})
		}
		g.start()
		g.send(1, "b@d0.example", "b@d1.example")
		pass(12 * time.Minute)
		g.send(2, "b@d0.example")
		env := envelope(3, "b@d0.example")
		env.From = mail.Address{}
		g.store.accept(env)
		g.Enqueue(env.ID, env)
		pass(5 * time.Minute)
		g.store.accept(envelope(4, "b@d0.example")) // nobody told the queues of it
		by, err := g.Shape(t.Context(), func(q Info) string {
			if q.Kind == KindPreSubmission {
				return q.Kind
			}
			return q.Destination.Domain
		})
		want := map[string]Ages{"d0.example": {0, 2, 1}, "d1.example": {0, 0, 1}, KindPreSubmission: {1}}
		shapeIs(t, by, err, want)
		by, err = g.ShapeOfSenders(t.Context())
		shapeIs(t, by, err, map[string]Ages{"here": {1, 1, 1}, "": {0, 1}})
		pass(3 * time.Hour)
		by, err = g.ShapeOfSenders(t.Context())
		if err != nil || by["here"] == nil || *by["here"] != (Ages{6: 3}) {
			t.Errorf("three hours later: %v, %v", by["here"], err)
		}
		g.stop()
	})
}

func shapeIs(t *testing.T, got map[string]*Ages, err error, want map[string]Ages) {
	t.Helper()
	if err != nil || len(got) != len(want) {
		t.Errorf("%d rows, %v", len(got), err)
	}
	for name, ages := range want {
		if got[name] == nil || *got[name] != ages {
			t.Errorf("%s: %v, want %v", name, got[name], ages)
		}
	}
}

func TestCursorInText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Cursor {
			var c Cursor
			copy(c.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
			c.ID[0] &= 1 // so that some are equal for long
			c.Queue = rapid.SampledFrom([]string{"", "1k3v9", "local", "pre-submission", lastQueue}).Draw(t, name+" queue")
			return c
		}
		a, b := draw("a"), draw("b")
		if rapid.Bool().Draw(t, "same") {
			b.ID = a.ID
		}
		if a.Compare(b) != strings.Compare(a.String(), b.String()) {
			t.Fatalf("%s and %s sort otherwise than their places", a, b)
		}
		if back, err := ParseCursor(a.String()); err != nil || back != a {
			t.Fatalf("%s is read as %v, %v", a, back, err)
		}
	})
	for _, bad := range []string{"", ".", "x.y", strings.Repeat("0", 26)} {
		if _, err := ParseCursor(bad); err == nil {
			t.Errorf("%q is a place", bad)
		}
	}
}

// What is in quarantine stands in its place between the others, once, also where the
// rest can only be read message by message.
func TestSearchQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		g.start()
		var all []mail.ID
		for i := range 20 {
			all = append(all, g.send(i, "b@x").ID)
		}
		synctest.Wait()
		for _, q := range g.List() {
			if q.Kind != KindUnreachable {
				continue
			}
			for _, i := range []int{0, 7, 19} {
				e, err := g.store.Entries(q.name, spool.Position{}, 100)
				if err != nil {
					t.Fatal(err)
				}
				n := slices.IndexFunc(e, func(e spool.QueueEntry) bool { return mail.ID(e.ID) == all[i] })
				if err := g.quarantine(all[i], nil, fmt.Errorf("%w: test", spool.ErrCorrupt), Taken{q.name, Ref{ID: all[i], Due: e[n].Due, Tag: e[n].Tag}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, how := range []string{"keys", "walk", "a walk that fails"} {
			g.store.mu.Lock()
			g.store.fail = func(call string) error {
				if how == "a walk that fails" && call == "walk" {
					return spool.ErrCorrupt
				}
				return nil
			}
			g.store.mu.Unlock()
			for _, limit := range []int{1, 4, 100} {
				got := found(t, g.Runner, Search{Limit: limit, walk: how != "keys"})
				if len(got) != 20 || !slices.IsSorted(got) || !strings.HasSuffix(got[7], IDQuarantine) {
					t.Errorf("by %s, %d a page: %q", how, limit, got)
				}
				if got = found(t, g.Runner, Search{Limit: limit, Queue: IDQuarantine, walk: how != "keys"}); len(got) != 3 {
					t.Errorf("by %s, the quarantine alone: %q", how, got)
				}
				if got = found(t, g.Runner, Search{Limit: limit, Filter: parse(t, "state = frozen and recipient = b@x and size = 1000"), walk: how != "keys"}); len(got) != 3 {
					t.Errorf("by %s, with a filter: %q", how, got)
				}
			}
		}
		g.stop()
	})
}
