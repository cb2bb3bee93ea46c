package mail

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSenderIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.Uint64()).Draw(t, "ids")
		s := NewSender(ids)
		want := slices.Sorted(slices.Values(ids))
		if got := s.IDs(); !slices.Equal(got, slices.Compact(want)) || !s.Valid() {
			t.Fatalf("%v came back as %v", ids, got)
		}
		if other := NewSender(rapid.Permutation(ids).Draw(t, "order")); other != s {
			t.Fatal("the order counts")
		}
	})
	for _, s := range []Sender{"short", "\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01"} {
		if s.Valid() {
			t.Errorf("%x is valid", string(s))
		}
	}
}
