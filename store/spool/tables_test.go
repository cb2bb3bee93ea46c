package spool

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// TestTablesAreGathered writes and syncs at random: the file holds what was
// written up to the last sync at least, and all of it after Close.
func TestTablesAreGathered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := newPatient(vfs.NewMem(), 0, zap.NewNop())
		f, err := fs.Create("000001.sst", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for i := range rapid.IntRange(0, 20).Draw(t, "operations") {
			switch rapid.SampledFrom([]string{"write", "write", "write", "sync", "data", "to"}).Draw(t, "operation") {
			case "write":
				b := bytes.Repeat([]byte{byte(i + 1)}, rapid.IntRange(0, 2*tableBuffer).Draw(t, "octets"))
				if n, err := f.Write(b); n != len(b) || err != nil {
					t.Fatalf("%d of %d written: %v", n, len(b), err)
				}
				want = append(want, b...)
				continue
			case "sync":
				err = f.Sync()
			case "data":
				err = f.SyncData()
			case "to":
				_, err = f.SyncTo(int64(len(want)))
			}
			if got := read(t, fs, "000001.sst"); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("after a sync the file has %d octets of %d: %v", len(got), len(want), err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, fs, "000001.sst"); !bytes.Equal(got, want) {
			t.Fatalf("the file has %d octets, %d were written", len(got), len(want))
		}
	})
}

func read(t *rapid.T, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// brokenFile fails each write after the first octets.
type brokenFile struct {
	vfs.File
	room int
}

var errBroken = errors.New("broken")

func (f *brokenFile) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	if f.room -= n; n < len(b) {
		return n, errBroken
	}
	return n, nil
}

func (f *brokenFile) Sync() error { return nil }

func (f *brokenFile) Close() error { return nil }

// TestTableOnBrokenDisk: an error of the disk comes out, at the latest when the
// table is synced, and every time.
func TestTableOnBrokenDisk(t *testing.T) {
	var lender tables
	f := lender.file(&brokenFile{room: 10})
	if n, err := f.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := f.Sync(); !errors.Is(err, errBroken) {
		t.Errorf("Sync: %v", err)
	}
	if n, err := f.Write(make([]byte, 2*tableBuffer)); n != tableBuffer-90 || !errors.Is(err, errBroken) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := f.Close(); !errors.Is(err, errBroken) {
		t.Errorf("Close: %v", err)
	}
}

// TestOnlyTablesAreGathered: what the log gets is in the file at once.
func TestOnlyTablesAreGathered(t *testing.T) {
	fs := newPatient(vfs.NewMem(), 0, zap.NewNop())
	f, err := fs.Create("000001.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("record")); err != nil {
		t.Fatal(err)
	}
	if st, err := fs.Stat("000001.log"); err != nil || st.Size() != 6 {
		t.Errorf("%d octets, %v", st.Size(), err)
	}
}
