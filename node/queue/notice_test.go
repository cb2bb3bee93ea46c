package queue

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// The postmaster hears of each message that is set aside, also where nothing of it
// can be read: once, over releases and restarts. A report is such a message too.
func TestPostmasterHearsOfTheQuarantineOnce(t *testing.T) {
	dir := t.TempDir()
	g := newRig()
	g.agent.answer = reading
	bad := map[spool.ID]string{}
	open := func() *spoiledSpool { return &spoiledSpool{Spool: openSpool(t, dir), bad: bad, err: spool.ErrCorrupt} }
	sp := open()
	hurt := func(n int, part string, change func(*mail.Envelope)) mail.ID {
		env := envelope(n, fmt.Sprintf("b%d@x", n))
		if change != nil {
			change(env)
		}
		acceptInto(t, sp.Spool, env)
		bad[spool.ID(env.ID)] = part
		return env.ID
	}
	content, nothing := hurt(1, "body", nil), hurt(2, "records", nil)
	report := hurt(3, "body", func(e *mail.Envelope) { e.From, e.System = mail.Address{}, true })
	two := hurt(4, "body", func(e *mail.Envelope) { e.Recipients = append(e.Recipients, envelope(4, "c@y").Recipients...) }) // in two queues
	want := []mail.ID{content, nothing, report, two}
	slices.SortFunc(want, compareID)
	told := func() (ids []mail.ID) {
		for _, a := range g.reporter.notices() {
			ids = append(ids, a.ID)
		}
		slices.SortFunc(ids, compareID)
		return ids
	}

	// At first the disk takes no notice; that is no reason not to set them aside.
	g.reporter.err = errors.New("no room")
	r := runOn(nil, g, func(c *Config) { c.Store = sp })
	waitFor(t, "all are set aside", func() bool { return len(r.Quarantined()) == 4 })
	r.end(t)
	if got := told(); got != nil {
		t.Fatalf("told of %v", got)
	}
	g.reporter.err = nil
	for round, during := range []func(){
		func() {}, // a restart makes up for it
		func() {}, // and another does not tell again
		func() { // nor does what comes back after a release
			if err := errors.Join(r.Release(content), r.Release(nothing)); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "both came back", func() bool { return len(r.Quarantined()) == 4 })
		},
		func() {},
	} {
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
		sp = open()
		r = runOn(nil, g, func(c *Config) { c.Store = sp })
		during()
		waitFor(t, "all are told of", func() bool { return len(told()) >= len(want) })
		r.end(t) // waits for what is being told
		if got := told(); !slices.Equal(got, want) {
			t.Fatalf("round %d: told of %v, want %v", round, got, want)
		}
	}
	for _, a := range g.reporter.notices() {
		if a.Readable() != (a.ID != nothing) || a.Reason == "" || a.Readable() && a.Sender != map[bool]string{false: "a@here"}[a.ID == report] {
			t.Errorf("told of %+v", a)
		}
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
}

// A notice that cannot be read itself makes no further one, also when nothing of it
// tells what it is.
func TestNoNoticeOfANotice(t *testing.T) {
	g := newRig()
	g.start()
	defer func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	}()
	first := envelope(1, "b@x").ID
	aside := func(id mail.ID) {
		t.Helper()
		g.asideMu.Lock()
		defer g.asideMu.Unlock()
		if err := g.quarantine(id, nil, fmt.Errorf("%w: all of it", spool.ErrCorrupt)); err != nil {
			t.Fatal(err)
		}
	}
	aside(first)
	aside(g.notedNotice(first))
	aside(first)
	if list := g.reporter.notices(); len(list) != 1 || list[0].ID != first {
		t.Errorf("notices: %+v", list)
	}
}
