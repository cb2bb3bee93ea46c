package history

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Bounds of what is kept.
const (
	MaxVersions = 256
	MaxBytes    = 16 << 20
)

// Log is the history of one node. It is safe for concurrent use.
type Log struct {
	path string

	mu       sync.Mutex
	base     state
	steps    []*step // oldest first
	last     state   // base with all steps
	size     int     // of all steps, in octets
	file     *os.File
	appended int64  // octets in the file
	whole    int64  // those of them that are the base
	torn     bool   // it may end with half a record, and lacks one
	taken    uint64 // the newest number that was given out
	reserved uint64 // the newest that may be, as the file says
}

// state is encoded objects and records by key. Values are never changed: base,
// last and steps share them.
type state map[key][]byte

// key is "Kind/name" of an object, or the GUID of a record's server.
type key struct {
	record bool
	name   string
}

// step is one version: what it put and took away.
type step struct {
	change *topologyv1.TableChange
	put    state
	gone   []key
	size   int
}

func (s state) apply(t *step) {
	maps.Copy(s, t.put)
	for _, k := range t.gone {
		delete(s, k)
	}
}

// View is one version as it was.
type View struct {
	Change *topologyv1.TableChange
	// Until is when the next version took over; zero if none has.
	Until   time.Time
	Objects []*directoryv1.Object
	Records []*linkstatev1.Record
}

// Made is what a table was made of, as far as it differs from the version that
// was kept last: objects and records that are new or changed, and those gone.
type Made struct {
	Objects []*directoryv1.Object
	Records []*linkstatev1.Record
	// Gone are the servers without a record any more.
	Gone [][]byte
	// AllObjects, AllRecords: the lists are complete, what is not in them is gone.
	AllObjects, AllRecords bool
}

// Note keeps a version. An error says that the file could not be written; the
// version is kept in memory all the same.
func (l *Log) Note(change *topologyv1.TableChange, made Made) error {
	now, err := encode(made.Objects, made.Records)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &step{change: change, put: make(state)}
	for k, v := range now {
		if old, ok := l.last[k]; !ok || !bytes.Equal(old, v) {
			t.put[k] = v
		}
	}
	for _, g := range made.Gone {
		t.gone = append(t.gone, key{true, string(g)})
	}
	if made.AllObjects || made.AllRecords {
		for k := range l.last {
			if _, still := now[k]; !still && (k.record && made.AllRecords || !k.record && made.AllObjects) {
				t.gone = append(t.gone, k)
			}
		}
	}
	line, err := t.encode()
	if err != nil {
		return err
	}
	t.size = len(line)
	l.push(t)
	return l.append(line)
}

// push takes a step in and lets the oldest go.
func (l *Log) push(t *step) {
	l.taken = max(l.taken, t.change.GetTableVersion())
	l.steps, l.size = append(l.steps, t), l.size+t.size
	l.last.apply(t)
	for len(l.steps) > MaxVersions || l.size > MaxBytes && len(l.steps) > 1 {
		first := l.steps[0]
		l.base.apply(first)
		l.size -= first.size
		l.steps = slices.Delete(l.steps, 0, 1)
	}
}

// List gives the last changes, newest first; at most limit, all for 0. They are
// shared: read only.
func (l *Log) List(limit int) []*topologyv1.TableChange {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.steps
	if limit > 0 && limit < len(list) {
		list = list[len(list)-limit:]
	}
	out := make([]*topologyv1.TableChange, 0, len(list))
	for _, t := range slices.Backward(list) {
		out = append(out, t.change)
	}
	return out
}

// ahead is how many numbers are reserved at once: what a killed process may leave out.
const ahead = 64

// Next gives the number of the next version: above all that were ever given out,
// those of versions that changed nothing and were not kept among them, since logs and
// tracking events name them. After a kill up to 64 are left out. An error says that
// the file could not be written; the number is good until the process ends.
func (l *Log) Next() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	if l.taken <= l.reserved && !l.torn {
		return l.taken, nil
	}
	return l.taken, l.reserve(l.taken + ahead)
}

// Last is the number that was given out last, by an earlier process perhaps; 0 if
// none was.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// At gives the version with the number. One that changed nothing was not kept: the
// one before it decided alike. current is the version that decides now.
func (l *Log) At(version, current uint64) (*View, error) {
	return l.find(func(t *step) bool { return t.change.GetTableVersion() <= version }, func() error {
		if version > current {
			return fmt.Errorf("version %d: there is none yet, the newest is %d", version, current)
		}
		return nil
	}, fmt.Sprintf("version %d", version))
}

// AtTime gives the version that decided at a time.
func (l *Log) AtTime(at, now time.Time) (*View, error) {
	return l.find(func(t *step) bool { return t.change.GetTimeUnixMs() <= at.UnixMilli() }, func() error {
		if at.After(now) {
			return fmt.Errorf("%s has not come yet", at.UTC().Format(time.RFC3339))
		}
		return nil
	}, at.UTC().Format(time.RFC3339))
}

// find gives the last version that began in time.
func (l *Log) find(began func(*step) bool, possible func() error, what string) (*View, error) {
	if err := possible(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.steps) - 1
	for i >= 0 && !began(l.steps[i]) {
		i--
	}
	switch {
	case len(l.steps) == 0:
		return nil, fmt.Errorf("%s: no table was kept yet", what)
	case i < 0:
		first := l.steps[0].change
		return nil, fmt.Errorf("%s is too long ago: the oldest table that is kept is version %d of %s",
			what, first.GetTableVersion(), time.UnixMilli(first.GetTimeUnixMs()).UTC().Format(time.RFC3339))
	}
	s := maps.Clone(l.base)
	for _, t := range l.steps[:i+1] {
		s.apply(t)
	}
	v := &View{Change: l.steps[i].change}
	if i+1 < len(l.steps) {
		v.Until = time.UnixMilli(l.steps[i+1].change.GetTimeUnixMs())
	}
	return v, s.decode(v)
}

func encode(objs []*directoryv1.Object, records []*linkstatev1.Record) (state, error) {
	s := make(state, len(objs)+len(records))
	same := proto.MarshalOptions{Deterministic: true}
	for _, o := range objs {
		b, err := same.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		s[key{name: o.GetMetadata().GetKind() + "/" + o.GetMetadata().GetName()}] = b
	}
	for _, r := range records {
		b, err := same.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		s[key{true, string(r.GetServer())}] = b
	}
	return s, nil
}

func (s state) decode(v *View) error {
	for _, k := range s.keys() {
		if k.record {
			r := new(linkstatev1.Record)
			if err := proto.Unmarshal(s[k], r); err != nil {
				return fmt.Errorf("history: record of a server: %w", err)
			}
			v.Records = append(v.Records, r)
			continue
		}
		o := new(directoryv1.Object)
		if err := proto.Unmarshal(s[k], o); err != nil {
			return fmt.Errorf("history: %s: %w", k.name, err)
		}
		v.Objects = append(v.Objects, o)
	}
	return nil
}

// keys in one order, so that equal histories are equal files.
func (s state) keys() []key {
	return slices.SortedFunc(maps.Keys(s), func(a, b key) int {
		if a.record != b.record {
			if a.record {
				return 1
			}
			return -1
		}
		return strings.Compare(a.name, b.name)
	})
}
