package queue

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// The window gives what a sorted list would.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		var naive []*entry
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if w.len() != len(naive) || !slices.Equal(w.all(), naive) {
					t.Fatalf("%d entries, want %d", w.len(), len(naive))
				}
			},
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "burst") {
					n++
					e := &entry{Ref: Ref{ID: mail.ID{byte(n >> 8), byte(n)}}, at: int64(rapid.IntRange(0, 50).Draw(t, "at"))}
					w.push(e)
					i, _ := slices.BinarySearchFunc(naive, e, compareEntries)
					naive = slices.Insert(naive, i, e)
				}
			},
			"pop": func(t *rapid.T) {
				for range min(len(naive), rapid.IntRange(1, 80).Draw(t, "many")) {
					if w.front() != naive[0] || w.pop() != naive[0] {
						t.Fatal("not the first")
					}
					naive = naive[1:]
				}
			},
			"remove": func(t *rapid.T) {
				if len(naive) > 0 {
					i := rapid.IntRange(0, len(naive)-1).Draw(t, "which")
					w.remove(naive[i])
					naive = slices.Delete(slices.Clone(naive), i, i+1)
				}
			},
		})
	})
}
