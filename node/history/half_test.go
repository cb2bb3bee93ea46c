package history

import (
	"os"
	"path/filepath"
	"testing"
)

// A disk that is full takes half a record, and no new file either. When there is room
// again, what is written then is not lost behind that half.
func TestHalfARecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	if err := l.Note(change(1), all(nil, record(1, 1))); err != nil {
		t.Fatal(err)
	}
	good := l.file
	full, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := good.Write([]byte{200, 1, 2, 3, 4, 5}); err != nil { // what a short write left
		t.Fatal(err)
	}
	l.file = full
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Note(change(2), all(nil, record(1, 2))); err == nil {
		t.Fatal("nothing could be written, and nothing was said")
	}
	if l.file == full { // there is room again
		l.file = good
	}
	full.Close()
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := l.Note(change(3), all(nil, record(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := len(again.List(0)); n != 3 || again.Last() != 3 {
		t.Errorf("%d versions, the last number is %d; want 3 and 3", n, again.Last())
	}
}
