package spool

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestRefusals(t *testing.T) {
	s := opened(t, vfs.NewMem())
	accept(t, s, ID{1}, []byte("x"))
	plan(t, s, ID{1}, Entry{Queue: "q", Due: 1}, Entry{Queue: "q", Due: 2})
	used := body(t, s, []byte("used"))
	if err := s.Accept(Incoming{ID: ID{2}, Body: used}); err != nil {
		t.Fatal(err)
	}
	dropped := body(t, s, content(2*chunkSize+1, 1))
	dropped.Discard()
	settleOne := func(e Settlement) error { _, err := s.Settle(e); return err }
	for name, c := range map[string]struct{ err, want error }{
		"no ID":          {s.Accept(Incoming{Body: s.NewBody()}), ErrInvalid},
		"no body":        {s.Accept(Incoming{ID: ID{9}}), ErrInvalid},
		"used body":      {s.Accept(Incoming{ID: ID{9}, Body: used}), ErrInvalid},
		"discarded body": {s.Accept(Incoming{ID: ID{9}, Body: dropped}), ErrInvalid},
		"ID again":       {s.Accept(Incoming{ID: ID{1}, Body: s.NewBody()}), ErrInvalid},
		"ID twice":       {s.Accept(Incoming{ID: ID{9}, Body: s.NewBody()}, Incoming{ID: ID{9}, Body: s.NewBody()}), ErrInvalid},
		"planned twice":  {s.Plan(ID{1}, nil, []Entry{{Queue: "q", Due: 1}}, nil), ErrInvalid},
		"plan of nobody": {s.Plan(ID{8}, nil, []Entry{{Queue: "q", Due: 1}}, nil), ErrNotFound},
		"no entries":     {s.Plan(ID{2}, nil, nil, nil), ErrInvalid},
		"no queue":       {s.Plan(ID{2}, nil, []Entry{{Due: 1}}, nil), ErrInvalid},
		"long queue":     {s.Plan(ID{2}, nil, []Entry{{Queue: string(make([]byte, MaxQueueName+1))}}, nil), ErrInvalid},
		"early":          {s.Plan(ID{2}, nil, []Entry{{Queue: "q", Due: -1}}, nil), ErrInvalid},
		"entry twice":    {s.Plan(ID{2}, nil, []Entry{{Queue: "q", Due: 1}, {Queue: "q", Due: 1}}, nil), ErrInvalid},
		"requeue twice":  {settleOne(Settlement{ID: ID{1}, Queue: "q", Due: 1, Requeue: &Entry{Queue: "q", Due: 2}}), ErrInvalid},
		"requeue early":  {settleOne(Settlement{ID: ID{1}, Queue: "q", Due: 1, Requeue: &Entry{Queue: "q", Due: -2}}), ErrInvalid},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if _, err := dropped.Write([]byte("x")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a discarded body takes more: %v", err)
	}
	// A refused settlement changed nothing.
	if got := settle(t, s, Settlement{ID: ID{1}, Queue: "q", Due: 1}, Settlement{ID: ID{1}, Queue: "q", Due: 2}); got[0] || !got[1] {
		t.Errorf("finished %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(Incoming{ID: ID{9}, Body: s.NewBody()}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed spool accepts: %v", err)
	}
	if _, err := s.Load(ID{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed spool loads: %v", err)
	}
}
