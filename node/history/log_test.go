package history

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func object(name string, cost int32) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "RoutingGroupConnector", Name: name},
		Spec:     &directoryv1.Object_RoutingGroupConnector{RoutingGroupConnector: &directoryv1.RoutingGroupConnector{Cost: cost}},
	}
}

func record(server byte, sequence uint64) *linkstatev1.Record {
	return &linkstatev1.Record{Server: []byte{server}, Sequence: sequence, Status: linkstatev1.Status_STATUS_ALIVE}
}

func change(version uint64) *topologyv1.TableChange {
	return &topologyv1.TableChange{TableVersion: version, TimeUnixMs: int64(version) * 1000, Triggers: []string{fmt.Sprint("trigger ", version)}}
}

func open(t testing.TB, path string) *Log {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// all is everything that a table was made of.
func all(objs []*directoryv1.Object, records ...*linkstatev1.Record) Made {
	return Made{Objects: objs, Records: records, AllObjects: true, AllRecords: true}
}

// same compares what a version was made of; order does not matter to routing, and
// is that of the keys.
func same(v *View, objs []*directoryv1.Object, records []*linkstatev1.Record) error {
	want, err := encode(objs, records)
	if err != nil {
		return err
	}
	got, err := encode(v.Objects, v.Records)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d things, want %d", len(got), len(want))
	}
	for k, b := range want {
		if !bytes.Equal(got[k], b) {
			return fmt.Errorf("%v is another one", k)
		}
	}
	return nil
}

// Whatever changes, with restarts in between, each version that is kept is what a
// list of whole copies has.
func TestKeepsWhatACopyWould(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run))
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.Close() }()
		type copied struct {
			version uint64
			objs    []*directoryv1.Object
			records []*linkstatev1.Record
		}
		var list []copied
		version := uint64(0)
		var objs []*directoryv1.Object
		for range rapid.IntRange(1, 20).Draw(t, "versions") {
			version += uint64(rapid.IntRange(1, 3).Draw(t, "step"))
			var records []*linkstatev1.Record
			pass := objs
			if rapid.Bool().Draw(t, "reconfigured") || objs == nil {
				objs = []*directoryv1.Object{}
				for i := range rapid.IntRange(0, 4).Draw(t, "objects") {
					objs = append(objs, object(fmt.Sprint("k", i), int32(rapid.IntRange(1, 3).Draw(t, "cost"))))
				}
				pass = objs
			} else if rapid.Bool().Draw(t, "nil") {
				pass = nil
			}
			for i := range rapid.IntRange(0, 4).Draw(t, "records") {
				records = append(records, record(byte(i), uint64(rapid.IntRange(1, 3).Draw(t, "sequence"))))
			}
			made := Made{Objects: pass, AllObjects: pass != nil, Records: records, AllRecords: true}
			if rapid.Bool().Draw(t, "differences only") {
				made.AllRecords = false
				for i := len(records); i < 4; i++ {
					made.Gone = append(made.Gone, []byte{byte(i)})
				}
			}
			if err := l.Note(change(version), made); err != nil {
				t.Fatal(err)
			}
			list = append(list, copied{version, objs, records})
			if rapid.IntRange(0, 4).Draw(t, "restart") == 0 {
				l.Close()
				if l, err = Open(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		if l.Last() != version || len(l.List(0)) != len(list) {
			t.Fatalf("last %d of %d, want %d of %d", l.Last(), len(l.List(0)), version, len(list))
		}
		for i, c := range list {
			next := version
			if i+1 < len(list) {
				next = list[i+1].version - 1
			}
			for v := c.version; v <= next; v++ {
				got, err := l.At(v, version)
				if err != nil {
					t.Fatal(err)
				}
				if err := same(got, c.objs, c.records); err != nil || got.Change.GetTableVersion() != c.version {
					t.Fatalf("version %d: %v, %v", v, got.Change, err)
				}
			}
			got, err := l.AtTime(time.UnixMilli(int64(c.version)*1000+1), time.UnixMilli(1<<40))
			if err != nil || got.Change.GetTableVersion() != c.version {
				t.Fatalf("at the time of %d: %v, %v", c.version, got, err)
			}
			if i+1 < len(list) && got.Until.UnixMilli() != int64(list[i+1].version)*1000 {
				t.Fatalf("until %v", got.Until)
			}
		}
	})
}

// The oldest versions go, and whoever asks for them is told what there is.
func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	fixed := object("fixed", 7)
	for v := range uint64(MaxVersions + 10) {
		if err := l.Note(change(v+1), all([]*directoryv1.Object{fixed, object("k", int32(v))})); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if n := len(l.List(0)); n != MaxVersions {
		t.Fatalf("%d versions", n)
	}
	if got := l.List(2); len(got) != 2 || got[0].GetTableVersion() != MaxVersions+10 || got[1].GetTableVersion() != MaxVersions+9 {
		t.Errorf("the last two are %v", got)
	}
	const newest = MaxVersions + 10
	if v, err := l.At(11, newest); err != nil || same(v, []*directoryv1.Object{fixed, object("k", 10)}, nil) != nil {
		t.Errorf("the oldest: %v, %v", v, err)
	}
	for _, k := range []struct {
		err  error
		says string
	}{
		{second(l.At(10, newest)), "the oldest table that is kept is version 11 of 1970-01-01T00:00:11Z"},
		{second(l.At(newest+1, newest)), "the newest is 266"},
		{second(l.AtTime(time.UnixMilli(10_999), time.UnixMilli(1<<40))), "the oldest table that is kept is version 11"},
		{second(l.AtTime(time.UnixMilli(1<<41), time.UnixMilli(1<<40))), "has not come yet"},
		{second(open(t, filepath.Join(t.TempDir(), "new")).At(0, 0)), "no table was kept yet"},
	} {
		if k.err == nil || !strings.Contains(k.err.Error(), k.says) {
			t.Errorf("%v, want %q in it", k.err, k.says)
		}
	}
}

func second(_ *View, err error) error { return err }

// Large differences shorten the history; memory and file stay bounded.
func TestBytesBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	for v := range uint64(40) {
		big := &linkstatev1.Record{Server: []byte{1}, Version: strings.Repeat(fmt.Sprint(v%10), 1<<20)}
		if err := l.Note(change(v+1), all(nil, big)); err != nil {
			t.Fatal(err)
		}
	}
	if l.size > MaxBytes || len(l.steps) < 10 {
		t.Errorf("%d steps of %d octets", len(l.steps), l.size)
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() > MaxBytes+2*slack {
		t.Errorf("the file has %d octets, %v", st.Size(), err)
	}
	if v, err := l.At(l.Last(), l.Last()); err != nil || len(v.Records[0].GetVersion()) != 1<<20 {
		t.Errorf("the newest: %v", err)
	}
}

// A crash may cut the file anywhere: what was whole before is there.
func TestCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history")
	l := open(t, path)
	ends := []int{size(t, path)}
	for v := uint64(1); v <= 5; v++ {
		if err := l.Note(change(v), all([]*directoryv1.Object{object("k", int32(v))}, record(1, v))); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, size(t, path))
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		cutPath := filepath.Join(dir, "cut")
		if err := os.WriteFile(cutPath, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for i, end := range ends {
			if n >= end {
				want = i
			}
		}
		c, err := Open(cutPath)
		if err != nil || len(c.List(0)) != want {
			t.Fatalf("cut at %d: %d versions, want %d, %v", n, len(c.List(0)), want, err)
		}
		// It goes on where it was cut.
		if err := c.Note(change(9), all(nil)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if again := open(t, cutPath); len(again.List(0)) != want+1 {
			t.Fatalf("cut at %d: %d versions after one more", n, len(again.List(0)))
		}
	}
}

// No number is given twice: not after a clean end, which leaves none out, and not
// after a kill at any point, which may leave out those that were reserved; whether or
// not the versions changed anything.
func TestNumbersAreNeverGivenTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history")
	next := func(l *Log) uint64 {
		t.Helper()
		v, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	l, last := open(t, path), uint64(0)
	for i := range 2*ahead + 10 {
		if last = next(l); last != uint64(i)+1 {
			t.Fatalf("number %d after %d", last, i)
		}
		if i%50 == 0 {
			if err := l.Note(change(last), all(nil)); err != nil {
				t.Fatal(err)
			}
		}
		// The process is killed: another one finds the file as it is.
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		killed := filepath.Join(dir, "killed")
		if err := os.WriteFile(killed, b, 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, killed)
		if got := next(again); got <= last || got > last+ahead+1 {
			t.Fatalf("after a kill %d follows %d", got, last)
		}
		again.Close()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // nothing is left out, and reading it again does not change that
		if l = open(t, path); l.Last() != last {
			t.Fatalf("after a clean end the last is %d, want %d", l.Last(), last)
		}
		l.Close()
	}
	if l = open(t, path); next(l) != last+1 {
		t.Errorf("after a clean end %d follows %d", l.Last(), last)
	}
}

// A damaged record is told, and what came before it is kept.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	if err := l.Note(change(1), all([]*directoryv1.Object{object("k", 1)})); err != nil {
		t.Fatal(err)
	}
	good := size(t, path)
	if err := l.Note(change(2), all([]*directoryv1.Object{object("k", 2)})); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[good+10] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path)
	if !errors.Is(err, ErrDamaged) || c == nil || c.Last() != 1 {
		t.Fatalf("%v, %v", c, err)
	}
	c.Close()
	if c = open(t, path); c.Last() != 1 {
		t.Errorf("after the repair the last is %d", c.Last())
	}
}

func size(t *testing.T, path string) int {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Size())
}

// Whatever the file holds, reading it ends, and what was read is written again.
func FuzzRead(f *testing.F) {
	t := &step{change: change(3), put: state{}}
	line, err := t.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &Log{base: make(state), last: make(state)}
		_ = l.read(b)
		for _, s := range l.steps {
			if _, err := s.encode(); err != nil {
				t.Error(err)
			}
		}
		if _, err := l.At(1<<63, 1<<63); err == nil && len(l.steps) == 0 {
			t.Error("a version of nothing")
		}
	})
}

func TestRouted(t *testing.T) {
	if Routed(&directoryv1.Object{Spec: &directoryv1.Object_Account{}}) || !Routed(object("k", 1)) {
		t.Error("accounts have secrets, connectors decide")
	}
}

func BenchmarkNote(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "history"))
	objs := make([]*directoryv1.Object, 10_000)
	for i := range objs {
		objs[i] = object(fmt.Sprint("connector-", i), 10)
	}
	records := make([]*linkstatev1.Record, 3000)
	for i := range records {
		records[i] = &linkstatev1.Record{Server: fmt.Appendf(nil, "%016d", i), Status: linkstatev1.Status_STATUS_ALIVE, Connectors: []*linkstatev1.ConnectorState{{Connector: make([]byte, 16)}}}
	}
	if err := l.Note(change(1), all(objs, records...)); err != nil {
		b.Fatal(err)
	}
	v := uint64(1)
	for b.Loop() {
		v++
		r := &linkstatev1.Record{Server: fmt.Appendf(nil, "%016d", v%3000), Sequence: v}
		if err := l.Note(change(v), Made{Records: []*linkstatev1.Record{r}}); err != nil {
			b.Fatal(err)
		}
	}
}
