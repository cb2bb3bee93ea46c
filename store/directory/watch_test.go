package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// replica follows a directory and remembers what it should hold.
type replica struct {
	mu        sync.Mutex
	objects   map[Key]*directoryv1.Object
	at        Position
	snapshots int
	changed   chan struct{}
}

func newReplica() *replica {
	return &replica{objects: map[Key]*directoryv1.Object{}, changed: make(chan struct{}, 1)}
}

func (r *replica) apply(e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Begin {
		clear(r.objects)
		r.snapshots++
	}
	for _, o := range e.Put {
		r.objects[KeyOf(o)] = o
	}
	for _, k := range e.Deleted {
		delete(r.objects, k)
	}
	r.at = e.Position
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

// until waits for a condition, woken by events.
func (r *replica) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		done := ok()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (r *replica) has(name string) func() bool {
	return func() bool { _, ok := r.objects[Key{KindRecipient, name}]; return ok }
}

// follow runs Watch until stop is called.
func follow(t *testing.T, d *Directory, r *replica) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Watch(ctx, r.at, r.apply) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	}
}

func TestWatchFollows(t *testing.T) {
	d := newDirectory(t)
	core, logs := observer.New(zap.WarnLevel)
	d.log = zap.New(core)
	r := newReplica()
	stop := follow(t, d, r)
	// From before the organisation exists.
	apply(t, d, loadThreeSites(t)...)
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	if n := logs.Len(); n != 0 {
		t.Errorf("%d warnings about a first import: %v", n, logs.All())
	}
	apply(t, d, mailbox("new", "oslo-1", "new@example.test"))
	r.until(t, "the new mailbox", r.has("new"))
	if _, _, err := d.Delete(t.Context(), KindRecipient, "new", 0, false); err != nil {
		t.Fatal(err)
	}
	r.until(t, "its deletion", func() bool { return !r.has("new")() })
	stop()
	if d.LastContact().IsZero() {
		t.Error("no contact was noted")
	}
	// Continuing misses nothing and needs no snapshot.
	before := r.snapshots
	apply(t, d, mailbox("later", "oslo-1", "later@example.test"))
	stop = follow(t, d, r)
	r.until(t, "what came meanwhile", r.has("later"))
	stop()
	if r.snapshots != before {
		t.Errorf("%d snapshots, want none", r.snapshots-before)
	}
}

func TestWatchHeartbeatConfirms(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	r := newReplica()
	stop := follow(t, d, r)
	defer stop()
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	// Something else in the same etcd moves the revision; no object changes, and
	// still the position must follow, or a later compaction costs a snapshot.
	resp, err := d.client.Put(t.Context(), "/elsewhere", "x")
	if err != nil {
		t.Fatal(err)
	}
	r.until(t, "the revision", func() bool { return r.at.Revision >= resp.Header.Revision })
}

func TestWatchAfterCompaction(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	r := newReplica()
	stop := follow(t, d, r)
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	stop()
	if _, _, err := d.Delete(t.Context(), KindRecipient, "pat", 0, false); err != nil {
		t.Fatal(err)
	}
	apply(t, d, group("leads", "alice"), mailbox("new", "oslo-1", "new@example.test"))
	apply(t, d, group("leads", "alice", "olav"))
	now, err := d.client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	stop = follow(t, d, r)
	defer stop()
	r.until(t, "a fresh snapshot", func() bool { return r.has("new")() && !r.has("pat")() })
	if r.snapshots != 2 {
		t.Errorf("%d snapshots, want 2", r.snapshots)
	}
}

func TestWatchEndsWithTheCallersError(t *testing.T) {
	d := newDirectory(t)
	full := errors.New("disk full")
	if err := d.Watch(t.Context(), Position{}, func(Event) error { return full }); !errors.Is(err, full) {
		t.Errorf("ended with %v", err)
	}
}

func TestSnapshotInPages(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	var many []*directoryv1.Object
	for i := range 2*pageSize + 10 {
		many = append(many, mailbox(fmt.Sprintf("m%05d", i), "oslo-1", fmt.Sprintf("m%05d@example.test", i)))
	}
	apply(t, d, many...)
	var pages, objects int
	var last Key
	ended := errors.New("the snapshot is complete")
	err := d.Watch(t.Context(), Position{}, func(e Event) error {
		if e.Begin != (pages == 0) || !e.Snapshot {
			t.Errorf("page %d: begin %v, snapshot %v", pages, e.Begin, e.Snapshot)
		}
		for _, o := range e.Put {
			k := KeyOf(o)
			if (last.Kind == KindRecipient && k.Kind != KindRecipient) || (last.Kind == k.Kind && k.Name <= last.Name) {
				t.Errorf("%s comes after %s", k, last)
			}
			last = k
		}
		pages, objects = pages+1, objects+len(e.Put)
		if e.End {
			return ended
		}
		return nil
	})
	if !errors.Is(err, ended) || pages != 3 || objects != len(many)+32 {
		t.Errorf("%d pages, %d objects, %v", pages, objects, err)
	}
}

// A directory in which nothing happens is as well connected as a busy one: etcd
// stays silent about watchers that begin in the future.
func TestWatchOfAQuietDirectory(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	r := newReplica()
	stop := follow(t, d, r)
	defer stop()
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	for range 3 {
		last := d.LastContact()
		r.until(t, "another heartbeat", func() bool { return d.LastContact().After(last) })
	}
	if r.snapshots != 1 {
		t.Errorf("%d snapshots, want the first only", r.snapshots)
	}
}
