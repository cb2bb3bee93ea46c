package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Position is how far a follower has come. Revisions of two different etcds
// have nothing to do with each other, so the position names the organisation's
// identity, which the first change gave it.
type Position struct {
	Identity string
	Revision int64
}

// Event is what happened since the last one. A snapshot comes as several
// events, in the order of kinds (Recipient last) and names: the first has Begin,
// the last has End, and an object that is in none of them does not exist any
// more. Events without changes say that nothing was missed up to Position.
type Event struct {
	Position   Position
	Put        []*directoryv1.Object // created or changed
	Deleted    []Key                 // never in a snapshot
	Snapshot   bool
	Begin, End bool
}

// Bounds of the pause before Watch connects again.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Watch calls fn with what happened after a position, one event after the other,
// until ctx ends or fn fails, and returns that error. It begins with a snapshot
// if from is the zero Position, is of another organisation, or is so old that
// etcd has dropped the history since; it connects again whenever etcd comes
// back, and nothing is missed. Values that are not objects of this version are
// logged and passed over.
func (d *Directory) Watch(ctx context.Context, from Position, fn func(Event) error) error {
	f := &follower{d: d, at: from, fn: fn}
	pause := firstPause
	for {
		before := f.at
		err := f.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e, ok := errors.AsType[callbackError](err); ok {
			return e.error
		}
		if f.at != before {
			pause = firstPause
		}
		if !errors.Is(err, errCreated) {
			d.log.Warn("directory_watch_interrupted", zap.Error(err), zap.Duration("pause", pause))
		}
		// Jitter, because all nodes lose etcd at the same moment.
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// errCreated ends a session because the first import came, which is no fault.
var errCreated = errors.New("the organisation was created")

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// callbackError marks an error of fn, which ends Watch.
type callbackError struct{ error }

type follower struct {
	d  *Directory
	at Position
	fn func(Event) error
}

func (f *follower) emit(e Event) error {
	if err := f.fn(e); err != nil {
		return callbackError{err}
	}
	if !e.Snapshot || e.End {
		f.at = e.Position
	}
	return nil
}

// session follows for as long as one watch lives.
func (f *follower) session(ctx context.Context) error {
	known, err := f.canContinue(ctx)
	if err != nil {
		return err
	}
	if !known {
		if err := f.snapshot(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A member that is cut off from the others must not keep us waiting. The watch
	// begins with the revision that is known already: etcd answers no progress
	// request while a watcher's first revision lies in the future.
	watching := f.d.client.Watch(clientv3.WithRequireLeader(ctx), f.d.keys.objects(),
		clientv3.WithPrefix(), clientv3.WithRev(f.at.Revision), clientv3.WithFragment(), clientv3.WithCreatedNotify())
	tick := time.NewTicker(f.d.heartbeat)
	defer tick.Stop()
	missed := 0
	for {
		select {
		case resp, ok := <-watching:
			if !ok {
				return errors.New("the watch ended")
			}
			if err := f.response(resp); err != nil {
				return err
			}
			missed = 0
		case <-tick.C:
			if missed++; missed > 3 {
				return fmt.Errorf("%w: no heartbeat for %s", ErrUnavailable, 3*f.d.heartbeat)
			}
			if err := f.d.client.RequestProgress(clientv3.WithRequireLeader(ctx)); err != nil {
				return classify(err)
			}
		}
	}
}

// canContinue says whether the position belongs to the etcd that answers.
func (f *follower) canContinue(ctx context.Context) (bool, error) {
	resp, err := f.d.get(ctx, f.d.keys.identity())
	if err != nil {
		return false, err
	}
	identity := ""
	for _, kv := range resp.Kvs {
		identity = string(kv.Value)
	}
	if f.at.Revision == 0 || f.at.Identity != identity || f.at.Revision > resp.Header.Revision {
		f.at = Position{Identity: identity}
		return false, nil
	}
	return true, nil
}

func (f *follower) snapshot(ctx context.Context) error {
	begin := true
	_, err := f.d.pages(ctx, f.d.keys.objects(), 0, func(kvs []*mvccpb.KeyValue, revision int64, last bool) error {
		e := Event{Position: Position{f.at.Identity, revision}, Snapshot: true, Begin: begin, End: last}
		begin = false
		for _, kv := range kvs {
			if o := f.object(kv); o != nil {
				e.Put = append(e.Put, o)
			}
		}
		return f.emit(e)
	})
	return err
}

func (f *follower) object(kv *mvccpb.KeyValue) *directoryv1.Object {
	o, err := fromKV(kv)
	if err != nil {
		f.d.log.Error("directory_object_unreadable", zap.Error(err))
		return nil
	}
	return o
}

func (f *follower) response(resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		if resp.CompactRevision != 0 {
			// The history is gone: begin anew with a snapshot.
			f.at.Revision = 0
			return fmt.Errorf("etcd has compacted up to revision %d", resp.CompactRevision)
		}
		return classify(err)
	}
	f.d.touched()
	if resp.Created {
		return nil // says nothing about events: those up to its revision may still come
	}
	e := Event{Position: f.at}
	resp.Events = slices.DeleteFunc(resp.Events, func(ev *clientv3.Event) bool { return ev.Kv.ModRevision <= f.at.Revision })
	if n := len(resp.Events); n > 0 {
		// A watch that catches up comes in batches, each with etcd's newest
		// revision in its header; only the events tell how far it has come.
		e.Position.Revision = resp.Events[n-1].Kv.ModRevision
	} else if resp.IsProgressNotify() {
		e.Position.Revision = max(f.at.Revision, resp.Header.Revision)
	}
	f.fill(&e, resp.Events)
	if f.at.Identity == "" && len(resp.Events) > 0 {
		// The organisation has come into being under our eyes; a new session
		// reads its identity.
		f.at = Position{}
		return errCreated
	}
	return f.emit(e)
}

// fill keeps the last event of each key: a response may span several revisions.
func (f *follower) fill(e *Event, events []*clientv3.Event) {
	last := make(map[string]int, len(events))
	for i, ev := range events {
		last[string(ev.Kv.Key)] = i
	}
	for i, ev := range events {
		path := string(ev.Kv.Key)
		if last[path] != i {
			continue
		}
		if ev.Type == clientv3.EventTypeDelete {
			if key, ok := f.d.keys.key(path); ok {
				e.Deleted = append(e.Deleted, key)
			}
		} else if o := f.object(ev.Kv); o != nil {
			e.Put = append(e.Put, o)
		}
	}
}
