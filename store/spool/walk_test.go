package spool

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fataler is *testing.T or *rapid.T.
type fataler interface {
	Fatalf(string, ...any)
}

// walk collects all messages; they come in the order of their IDs, each once.
func walk(t fataler, s *Spool) map[ID]Stored {
	all := map[ID]Stored{}
	var last ID
	err := s.Walk(ID{}, func(id ID, st *Stored) (bool, error) {
		if bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%x comes after %x", id, last)
		}
		last = id
		// As Load gives them; what is walked past is valid during the call only.
		c := Stored{Envelope: bytes.Clone(st.Envelope), Plan: bytes.Clone(st.Plan), BodySize: st.BodySize}
		for _, o := range st.Outcomes {
			o.Payload = bytes.Clone(o.Payload)
			c.Outcomes = append(c.Outcomes, o)
		}
		for _, e := range st.Entries {
			e.Tag = bytes.Clone(e.Tag)
			c.Entries = append(c.Entries, e)
		}
		all[id] = c
		return true, nil
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return all
}

func TestWalk(t *testing.T) {
	s := opened(t, vfs.NewMem())
	for i := range 10 {
		id := ID{byte(i + 1)}
		accept(t, s, id, []byte("text"))
		if err := s.Plan(id, bytes.Repeat([]byte{byte(i)}, 3000), []Entry{{Queue: "q", Due: 1, Tag: []byte{byte(i)}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var seen []byte
	err := s.Walk(ID{3}, func(id ID, st *Stored) (bool, error) {
		if len(st.Plan) != 3000 || st.Plan[2999] != id[0]-1 || st.Entries[0].Tag[0] != id[0]-1 {
			t.Errorf("message %x: another's keys", id)
		}
		seen = append(seen, id[0])
		return id[0] < 5, nil
	})
	if err != nil || !slices.Equal(seen, []byte{3, 4, 5}) {
		t.Errorf("walked past %v, %v", seen, err)
	}
	own := errors.New("own")
	for _, stop := range []byte{5, 10} {
		err = s.Walk(ID{}, func(id ID, _ *Stored) (bool, error) {
			if id[0] == stop {
				return true, own
			}
			return true, nil
		})
		if err != own {
			t.Errorf("stopped at %d by %v", stop, err)
		}
	}
	if err := s.Walk(ID{11}, func(ID, *Stored) (bool, error) { return false, own }); err != nil {
		t.Errorf("walked beyond the end: %v", err)
	}
}
