package spool

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// audit holds every key against the state table of the package documentation:
// what is there must belong to a legal state, and nothing else may be there.
func audit(t testing.TB, s *Spool) {
	t.Helper()
	if _, err := s.Check(context.Background(), func(p Problem) { t.Errorf("message %x: %s", p.Message, p.Text) }); err != nil {
		t.Fatal(err)
	}
}

func unexpected(t testing.TB) func(*pebble.Iterator) (bool, error) {
	return func(it *pebble.Iterator) (bool, error) {
		t.Errorf("key %x is left", it.Key())
		return it.Next(), nil
	}
}
