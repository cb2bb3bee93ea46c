package queue

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// A page was read from the disk before an order changed an entry that comes back to its
// old place: what the order left is delivered, not what was read. An order that moved the
// entry, or ended it, leaves nothing of what was read.
func TestFillFindsWhatAnOrderChanged(t *testing.T) {
	hop := mail.Hop{Kind: mail.HopMX, Domain: "x"}
	read := Ref{ID: mail.ID{7}, Due: 5, Created: 1, Tag: []byte("two recipients")}
	less := Ref{ID: mail.ID{7}, Due: 5, Created: 1, Tag: []byte("one recipient")}
	none := Ref{ID: mail.ID{7}, Due: 5, Created: 1, Tag: []byte("another one")}
	later := Ref{ID: mail.ID{7}, Due: 9, Created: 1, Tag: []byte("later")}
	for name, c := range map[string]struct {
		orders []func(s *Scheduler, q string)
		want   string
	}{
		"changed": {[]func(*Scheduler, string){
			func(s *Scheduler, q string) { s.Requeued(q, less, "", 1) },
		}, "one recipient"},
		"changed twice": {[]func(*Scheduler, string){
			func(s *Scheduler, q string) { s.Requeued(q, less, "", 1) },
			func(s *Scheduler, q string) { s.Requeued(q, none, "", 1) },
		}, "another one"},
		"changed and moved": {[]func(*Scheduler, string){
			func(s *Scheduler, q string) { s.Requeued(q, less, "", 1) },
			func(s *Scheduler, q string) { s.Requeued(q, later, "", 1) },
		}, "later"},
		"changed and ended": {[]func(*Scheduler, string){
			func(s *Scheduler, q string) { s.Requeued(q, less, "", 1) },
			func(s *Scheduler, q string) { s.Gone(q, read.ID, 1) },
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewScheduler(alone(Limits{}, testClock))
			k := keyFor(1)
			s.AddQueue(k, hop, true, 1)
			s.Effects()
			for _, order := range c.orders {
				if got := s.Order(k.Name(), Ref{ID: read.ID}, &Order{Verb: VerbDelete}, 1); got != OrderTaken {
					t.Fatalf("receipt %d", got)
				}
				s.Learn(k.Name(), read)
				order(s, k.Name())
			}
			refs := []Ref{read}
			if c.want == "later" {
				refs = append(refs, Ref{ID: mail.ID{8}, Due: 20, Created: 1}) // the cursor is beyond
			}
			s.Filled(k.Name(), refs, true, 1)
			got := ""
			if q := s.queues[k.Name()]; q != nil && q.refs[read.ID] != nil { // an empty queue is none
				got = string(q.refs[read.ID].Tag)
			}
			if got != c.want {
				t.Errorf("%q is to be delivered, want %q", got, c.want)
			}
		})
	}
}

// A message that was planned is worked on twice, as it was listed from the spool too: the
// second reservation is given up, and what a fill found of it meanwhile is served.
func TestFillFindsWhatIsReservedAgain(t *testing.T) {
	ref := Ref{ID: mail.ID{7}, Due: 5, Created: 1}
	for _, ordered := range []bool{false, true} {
		s := NewScheduler(alone(Limits{}, testClock))
		k := keyFor(1)
		s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, true, 1)
		if !s.Reserve(k.Name(), ref.ID) {
			t.Fatal("it cannot be reserved")
		}
		if ordered {
			if got := s.Order(k.Name(), Ref{ID: ref.ID}, &Order{Verb: VerbDelete}, 1); got != OrderLater {
				t.Fatalf("receipt %d", got)
			}
		}
		s.Filled(k.Name(), []Ref{ref, {ID: mail.ID{8}, Due: 20, Created: 1}}, true, 1)
		s.Effects()
		s.Abandon(k.Name(), ref.ID, 1)
		e := s.queues[k.Name()].refs[ref.ID]
		if e == nil {
			t.Fatal("it is on disk, behind what was read, and nobody will look for it there")
		}
		want, orders := waiting, 0
		if ordered {
			want, orders = inFlight, 1
		}
		got := 0
		for _, f := range s.Effects() {
			if f.Kind == EffectOrder && f.Ref.ID == ref.ID && f.Ref.Due == ref.Due {
				got++
			}
		}
		if e.state != want || e.Due != ref.Due || got != orders {
			t.Errorf("ordered %v: %d orders are carried out, it is %+v", ordered, got, e)
		}
	}
}

// An order on what is reserved a second time reaches what is on disk.
func TestOrderOnWhatIsReservedAgain(t *testing.T) {
	s := NewScheduler(alone(Limits{}, testClock))
	k := keyFor(1)
	s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, true, 1)
	s.Effects()
	s.Reserve(k.Name(), mail.ID{7})
	if got := s.Order(k.Name(), Ref{ID: mail.ID{7}}, &Order{Verb: VerbDelete}, 1); got != OrderLater {
		t.Fatalf("receipt %d", got)
	}
	s.Abandon(k.Name(), mail.ID{7}, 1)
	for _, f := range s.Effects() {
		if f.Kind == EffectOrder && f.Ref.ID == (mail.ID{7}) {
			return
		}
	}
	t.Error("the order is void")
}
