package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// source plays events and then waits, as a directory does.
type source struct {
	events []directory.Event
	from   []directory.Position
}

func (s *source) Watch(ctx context.Context, from directory.Position, fn func(directory.Event) error) error {
	s.from = append(s.from, from)
	for len(s.events) > 0 {
		if err := fn(s.events[0]); err != nil {
			return err
		}
		s.events = s.events[1:]
	}
	<-ctx.Done()
	return ctx.Err()
}

// A change that cannot be written is asked for again, and the catalog answers
// meanwhile.
func TestFollowComesBack(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	c := opened(t, Options{Free: func() (uint64, error) { return free.Load(), nil }})
	must(t, c.apply(snapshot(5, organization(), mailbox("a", "x@t"))))
	synctest.Test(t, func(t *testing.T) {
		free.Store(0)
		s := &source{events: []directory.Event{{Position: at(6), Put: []*directoryv1.Object{mailbox("b", "y@t")}}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Follow(ctx, s) }()
		synctest.Wait()
		owners(t, c, map[string]string{"x@t": "a", "y@t": ""})
		free.Store(1 << 30)
		<-time.After(retryPause + time.Second)
		synctest.Wait()
		owners(t, c, map[string]string{"x@t": "a", "y@t": "b"})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow ended with %v", err)
		}
		if len(s.from) != 2 || s.from[0] != at(5) || s.from[1] != at(5) {
			t.Errorf("asked from %v, want twice from 5", s.from)
		}
	})
}

// oracle is the naive catalog: the objects, and a search through all of them.
type oracle map[string]*directoryv1.Object

func (o oracle) lookup(key string) string {
	for name, r := range o {
		if slices.ContainsFunc(r.GetRecipient().GetAddresses(), func(a string) bool { return directory.AddressKey(a) == key }) {
			return name
		}
	}
	return ""
}

// put stores a recipient with those of the wanted addresses that are free, as
// the directory's guards would have it.
func (o oracle) put(name string, addresses []string) *directoryv1.Object {
	delete(o, name)
	free := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return o.lookup(directory.AddressKey(a)) != "" })
	o[name] = mailbox(name, free...)
	return o[name]
}

// Whatever comes in, in events or snapshots of any pages, the catalog knows what
// the naive one knows.
func TestCatalogAgreesWithOracle(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	addresses := []string{"1@t", "2@t", "3@t", "4@t", "X400:c=us"}
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		c, err := Open(dir, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer c.Close()
		if err := c.apply(snapshot(1)); err != nil {
			rt.Fatal(err)
		}
		o := oracle{}
		for revision := range rapid.IntRange(1, 12).Draw(rt, "events") {
			touched := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(rt, "touched")
			var gone []directory.Key
			for _, name := range touched {
				if rapid.Bool().Draw(rt, "delete") {
					delete(o, name)
					gone = append(gone, directory.Key{Kind: directory.KindRecipient, Name: name})
				}
			}
			var put []*directoryv1.Object
			for _, name := range touched {
				if !slices.Contains(gone, directory.Key{Kind: directory.KindRecipient, Name: name}) {
					wanted := rapid.SliceOfDistinct(rapid.SampledFrom(addresses), rapid.ID).Draw(rt, "addresses")
					put = append(put, o.put(name, wanted))
				}
			}
			events := []directory.Event{{Position: at(int64(revision + 2)), Put: put, Deleted: gone}}
			if rapid.Bool().Draw(rt, "snapshot") {
				events = o.snapshot(int64(revision+2), rapid.IntRange(1, 3).Draw(rt, "page"))
			}
			for _, e := range events {
				if err := c.apply(e); err != nil {
					rt.Fatal(err)
				}
			}
			o.compare(rt, c, addresses)
		}
	})
}

func (o oracle) snapshot(revision int64, page int) []directory.Event {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	events := []directory.Event{{Position: at(revision), Snapshot: true, Begin: true}}
	for chunk := range slices.Chunk(names, page) {
		e := directory.Event{Position: at(revision), Snapshot: true}
		for _, name := range chunk {
			e.Put = append(e.Put, o[name])
		}
		events = append(events, e)
	}
	return append(events, directory.Event{Position: at(revision), Snapshot: true, End: true})
}

func (o oracle) compare(t *rapid.T, c *Catalog, addresses []string) {
	if c.Recipients() != len(o) {
		t.Fatalf("%d recipients, want %d", c.Recipients(), len(o))
	}
	for _, a := range addresses {
		key := directory.AddressKey(a)
		r, ok, err := c.Lookup(key)
		if want := o.lookup(key); err != nil || ok != (want != "") || r.GetMetadata().GetName() != want {
			t.Fatalf("%s: %q (%v, %v), want %q", a, r.GetMetadata().GetName(), ok, err, want)
		}
	}
}

// Readers never wait for, nor stumble over, the writer.
func TestReadersDuringWrites(t *testing.T) {
	c := opened(t, Options{})
	must(t, c.apply(snapshot(1, organization(), server(1), mailbox("a", "x@t"))))
	stop := make(chan struct{})
	failed := make(chan error, 4)
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				// The address moves between a and b and is at all times somebody's.
				if _, ok, err := c.Lookup("x@t"); err != nil || !ok || len(c.Config().Servers()) == 0 {
					failed <- errors.Join(err, errors.New("x@t or the configuration was away"))
					return
				}
			}
		}()
	}
	for i := range 300 {
		put := []*directoryv1.Object{mailbox("a", "x@t"), mailbox("b"), server(1 + rand.IntN(3))}
		if i%2 == 0 {
			put[0], put[1] = mailbox("a"), mailbox("b", "x@t")
		}
		must(t, c.apply(directory.Event{Position: at(int64(i + 2)), Put: put}))
	}
	close(stop)
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// Nobody has an address that two recipients had, one of them since a snapshot that was cut off.
func TestAddressAfterCutOffSnapshot(t *testing.T) {
	c := opened(t, Options{})
	var before, page, after []*directoryv1.Object
	want := map[string]string{}
	for i := range 20 {
		a, z, moved := fmt.Sprintf("a%02d", i), fmt.Sprintf("z%02d", i), fmt.Sprintf("moved%d@t", i)
		before = append(before, mailbox(a, a+"@t"), mailbox(z, z+"@t", moved))
		page = append(page, mailbox(a, a+"@t", moved))
		after = append(after, mailbox(a, a+"@t"), mailbox(z, z+"@t"))
		want[moved], want[a+"@t"], want[z+"@t"] = "", a, z
	}
	must(t, c.apply(snapshot(1, append(before, organization())...)))
	must(t, c.apply(directory.Event{Position: at(2), Put: append(page, organization()), Snapshot: true, Begin: true}))
	must(t, c.apply(snapshot(3, append(after, organization())...)))
	owners(t, c, want)
}
