package spool

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What an administrator said survives a cut of the power, and is no stranger to
// Check.
func TestControl(t *testing.T) {
	fs := vfs.NewCrashableMem()
	open := func(fs vfs.FS) *Spool {
		s, err := Open("spool", Options{FS: fs, MemTable: 2 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(fs)
	if b, err := s.Control(); b != nil || err != nil {
		t.Errorf("at first %q, %v", b, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := s.SetControl([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	cut := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(cut)
	defer s.Close()
	if b, err := s.Control(); string(b) != "second" || err != nil {
		t.Errorf("after the cut %q, %v", b, err)
	}
	if _, err := s.Check(context.Background(), func(p Problem) { t.Error(p.Text) }); err != nil {
		t.Fatal(err)
	}
}
