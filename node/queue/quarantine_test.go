package queue

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// spoiledSpool is a spool in which some messages cannot be read.
type spoiledSpool struct {
	*spool.Spool
	mu  sync.Mutex
	bad map[spool.ID]string // what of it
	err error

	healed time.Time
}

func (s *spoiledSpool) Healed() time.Time { return s.healed }

func (s *spoiledSpool) fault(id spool.ID, part string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad[id] == part {
		return fmt.Errorf("%w: %s", s.err, part)
	}
	return nil
}

func (s *spoiledSpool) repair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.bad)
}

func (s *spoiledSpool) Load(id spool.ID) (spool.Stored, error) {
	if err := s.fault(id, "records"); err != nil {
		return spool.Stored{}, err
	}
	return s.Spool.Load(id)
}

func (s *spoiledSpool) OpenBody(id spool.ID) (*spool.BodyReader, error) {
	if err := s.fault(id, "body"); err != nil {
		return nil, err
	}
	return s.Spool.OpenBody(id)
}

func (s *spoiledSpool) Settle(list ...spool.Settlement) ([]bool, error) {
	for _, e := range list {
		if err := s.fault(e.ID, "settling"); err != nil {
			return nil, err
		}
	}
	return s.Spool.Settle(list...)
}

// reading answers as one that reads the content first.
func reading(_ mail.Hop, tr *mail.Transaction, _ mail.Target) mail.Outcome {
	r, err := tr.Content.Open()
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		_ = r.Close()
	}
	if err != nil {
		return mail.Defer(mail.StatusDropped, err.Error())
	}
	return delivered
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// Messages of which something cannot be read are set aside, whatever it is and
// whoever finds it; all others are delivered; a restart changes nothing; what is
// released is delivered, once the disk is well.
func TestUnreadableMessagesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	g := newRig()
	g.agent.answer = reading
	bad := map[spool.ID]string{}
	open := func() *spoiledSpool {
		return &spoiledSpool{Spool: openSpool(t, dir), bad: bad, err: spool.ErrCorrupt}
	}
	sp := open()
	for i, part := range []string{"", "records", "body", "", "settling", "body"} {
		env := envelope(i, fmt.Sprintf("b%d@x", i))
		acceptInto(t, sp.Spool, env)
		bad[spool.ID(env.ID)] = part
	}
	r := runOn(nil, g, func(c *Config) { c.Store = sp })
	aside := func() (ids []string) {
		for _, m := range r.Quarantined() {
			ids = append(ids, m.ID.String())
		}
		return ids
	}
	waitFor(t, "four are set aside and two delivered", func() bool { return len(aside()) == 4 && len(sp.Aside()) == 4 && sp.Stats().Messages == 4 })
	before := aside()
	r.end(t)
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}

	sp = open()
	defer sp.Close()
	r = runOn(nil, g, func(c *Config) { c.Store = sp })
	defer r.end(t)
	if got := aside(); !slices.Equal(got, before) {
		t.Errorf("after a restart: %q, before %q", got, before)
	}
	list, err := r.Messages(IDQuarantine, 10)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d messages listed, %v", len(list), err)
	}
	for _, m := range list {
		if part := bad[spool.ID(m.ID)]; !strings.Contains(m.LastError, part) || part != "records" && (m.Sender != "a@here" || len(m.Recipients) != 1) {
			t.Errorf("%s is spoiled and listed as %+v", part, m)
		}
	}
	q := Info{}
	for _, i := range r.List() {
		if i.ID == IDQuarantine {
			q = i
		}
	}
	if q.Messages != 4 || q.State != Frozen {
		t.Errorf("queue %+v", q)
	}
	// One that is released while the fault is there comes back.
	if err := r.Release(list[1].ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is set aside again", func() bool { return len(aside()) == 4 })
	sp.repair()
	if err := r.Discard(list[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, m := range list[1:] {
		if err := r.Release(m.ID); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "the rest is delivered", func() bool { return sp.Stats().Messages == 0 })
	if err := r.Release(list[0].ID); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("released what was deleted: %v", err)
	}
	if err := r.Discard(list[0].ID); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if got := g.reporter.got(); len(got) > 0 {
		t.Errorf("reports: %q", got)
	}
	a, err := sp.Audit(t.Context())
	if err != nil || !a.Balanced() {
		t.Errorf("%s, %v", a, err)
	}
}

// After a healing what was set aside before is tried again, once: a block that cannot be read
// keeps more from being read than it holds. What crashed the node waits for an administrator.
func TestHealedMessagesAreTriedAgain(t *testing.T) {
	dir := t.TempDir()
	g := newRig()
	g.agent.answer = reading
	bad := map[spool.ID]string{}
	start := func(healed time.Time) (*spoiledSpool, *running) {
		sp := &spoiledSpool{Spool: openSpool(t, dir), bad: bad, err: spool.ErrCorrupt, healed: healed}
		return sp, runOn(nil, g, func(c *Config) { c.Store = sp })
	}
	end := func(sp *spoiledSpool, r *running) {
		r.end(t)
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sp := openSpool(t, dir)
	var lost, poison spool.ID
	for i, part := range []string{"records", "body", "settling", "body"} {
		env := envelope(i, fmt.Sprintf("b%d@x", i))
		acceptInto(t, sp, env)
		lost = spool.ID(env.ID)
		bad[lost] = part
	}
	env := envelope(9, "b9@x")
	acceptInto(t, sp, env)
	poison = spool.ID(env.ID)
	if err := errors.Join(sp.SetAside(poison, codec.EncodeDamage(codec.Damage{At: time.Now(), Crashed: true})), sp.Close()); err != nil {
		t.Fatal(err)
	}

	one, r := start(time.Time{})
	waitFor(t, "five are set aside", func() bool { return len(one.Aside()) == 5 })
	end(one, r)
	for id := range bad { // all but one were only behind the same block
		if id != lost {
			delete(bad, id)
		}
	}
	two, r := start(time.Now())
	defer end(two, r)
	waitFor(t, "three are delivered, one is set aside again", func() bool {
		note, err := two.AsideNote(lost)
		if err != nil {
			return false
		}
		d, err := codec.DecodeDamage(note)
		return err == nil && d.At.After(two.healed.Truncate(time.Microsecond)) && two.Stats().Messages == 2
	})
	if _, err := two.AsideNote(poison); err != nil {
		t.Errorf("what crashed the node was tried again: %v", err)
	}
}
