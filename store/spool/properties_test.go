package spool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A table that the disk fails to read, for good, costs neither a core, nor the log, nor
// other tables' mail: Pebble tries without end to read what it says of itself.
func TestUnreadableTableCostsNothingElse(t *testing.T) {
	h := makeHoled(t)
	s, err := Open(h.dir, Options{tune: func(p *pebble.Options) {
		for i := range p.TargetFileSizes {
			p.TargetFileSizes[i] = 4 << 10 // so that there is one with nothing but messages
		}
	}})
	if err == nil {
		err = s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	known, err := s.knownTables()
	if err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	var bad string
	for name, table := range known {
		if table.smallest.UserKey[0] == tagMessage && table.largest.UserKey[0] == tagMessage {
			bad = filepath.Join(h.dir, storeName, name)
		}
	}
	if bad == "" {
		t.Fatal("no table has only messages")
	}

	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && op.Path == bad {
			return syscall.EIO
		}
		return nil
	}))
	core, logs := observer.New(zap.WarnLevel)
	if s, err = Open(h.dir, Options{FS: fs, Logger: zap.New(core)}); err != nil {
		t.Fatal(err)
	}
	for s.unreadProperties.Load() < 3 && s.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	whole := 0
	for _, e := range h.entries {
		switch _, err := s.Load(e.ID); {
		case err == nil:
			whole++
		case !errors.Is(err, ErrUnreadable):
			t.Errorf("message %q: %v", e.ID, err)
		}
	}
	if whole == 0 || whole == len(h.entries) {
		t.Errorf("%d messages of %d can be read", whole, len(h.entries))
	}
	accept(t, s, ID{0xfe}, []byte("body"))
	closeSpool(t, s)
	if n := s.unreadProperties.Load(); n > 50 {
		t.Errorf("its properties were read %d times", n)
	}
	if n := logs.FilterMessage("spool_properties_unread").Len(); n == 0 || n > 6 {
		t.Errorf("%d lines of it: %v", n, logs.All())
	}
}

// No mail is lost with what a table says of itself.
func TestBrokenPropertiesAreReplaced(t *testing.T) {
	for _, c := range []struct {
		what string
		tune func(*pebble.Options)
		live func(s *Spool) error
	}{
		{"plain", func(*pebble.Options) {}, func(*Spool) error { return nil }},
		{"an index of indexes", func(p *pebble.Options) {
			for i := range p.Levels {
				p.Levels[i].IndexBlockSize = 512
			}
		}, func(*Spool) error { return nil }},
		{"deleted ranges", func(*pebble.Options) {}, func(s *Spool) error {
			return s.db.DeleteRange([]byte("zz"), []byte("zzz"), pebble.Sync)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := makeHoled(t)
			s, err := Open(h.dir, Options{tune: func(p *pebble.Options) {
				for i := range p.Levels {
					p.Levels[i].BlockSize = 512
				}
				c.tune(p)
			}})
			if err == nil {
				err = errors.Join(c.live(s), s.db.Flush(), s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false), c.live(s))
			}
			if err != nil {
				t.Fatal(err)
			}
			closeSpool(t, s)
			h.spoilProperties(t)
			// It notes the table. Whether it can go on without hangs on what is in the log.
			if s, err = Open(h.dir, Options{pause: func() {}}); err == nil {
				<-s.counts.done
				closeSpool(t, s)
			} else if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if s, err = Open(h.dir, Options{pause: func() {}}); err != nil {
				t.Fatal(err)
			}
			if tables, records := quarantined(t, h.dir); tables != 1 || records != 1 {
				t.Errorf("%d tables and %d records in the quarantine", tables, records)
			}
			if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil || s.stalled.Load() != 0 {
				t.Errorf("merging: %v, %d stalled", err, s.stalled.Load())
			}
			if got := listed(t, s, "q"); len(got) != len(h.entries) {
				t.Errorf("%d entries of %d", len(got), len(h.entries))
			}
			for _, e := range h.entries {
				if _, err := s.Load(e.ID); err != nil {
					t.Errorf("message %q: %v", e.ID, err)
				}
			}
			if got, n := problems(t, s); got != "" || n.Messages != 300 {
				t.Errorf("%d messages, problems:\n%s", n.Messages, got)
			}
			if a, err := s.Audit(t.Context()); err != nil || !a.Balanced() {
				t.Errorf("%s, %v", a, err)
			}
			if got, err := s.Control(); err != nil || string(got) != "orders of somebody" {
				t.Errorf("orders %q, %v", got, err)
			}
			closeSpool(t, s)
		})
	}
}

// spoilProperties breaks those of all tables: some may be merged away, and not gone yet.
func (h *holed) spoilProperties(t *testing.T) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(h.dir, storeName, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[bytes.LastIndex(b, []byte("DefaultKeySchema("))] ^= 0x40
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Properties of any length can be replaced.
func TestPropertiesOfAnyLength(t *testing.T) {
	for n := range 16 {
		top, ranges, values := n&1 != 0, n&2 != 0, n&4 != 0
		for length := 400; length < 1200; length++ {
			if b := propertiesBlock("DefaultKeySchema(leveldb.BytewiseComparator,16)", top, ranges, values, length); len(b) != length {
				t.Fatalf("%d octets instead of %d", len(b), length)
			}
		}
	}
}
