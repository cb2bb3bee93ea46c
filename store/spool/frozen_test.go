package spool

import (
	"errors"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The disk fails while somebody reads from a table that was merged away
// meanwhile. The reader, who is the last, closes the table's file and goes on.
func TestReadersEndOnAFrozenDisk(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	s, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	write := func(b ...byte) {
		t.Helper()
		if err := errors.Join(s.SetControl(b), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	it, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !it.First() {
		t.Fatal("nothing to read", it.Error())
	}
	write(2)
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	_ = s.fail(errors.New("the disk is dead"))
	if err := it.Close(); err != nil { // used to wait for ever
		t.Error(err)
	}
	if b, err := s.Control(); err != nil || b[0] != 2 {
		t.Errorf("Control() = %v, %v", b, err)
	}
}
