package gossip

import (
	"maps"
	"slices"
	"sync"

	"github.com/postroad/postroad/linkstate"
)

// outbox is what a peer has not been sent yet. It grows with the number of
// servers, not with the number of changes.
type outbox struct {
	ready chan struct{} // one slot: there is something to take

	mu        sync.Mutex
	updates   map[linkstate.GUID]update
	want      map[linkstate.GUID]struct{}
	bare      *linkstate.Digest
	full      *linkstate.Digest
	keepalive *linkstate.Keepalive
}

// update of one server that waits: the whole record or a patch.
type update struct {
	record *linkstate.Record
	patch  *linkstate.Patch
}

// then is what has to be sent if a patch comes before the update was. The two
// become one, so that the peer is not left with a gap; where they do not join, the
// peer was heard to have what the new patch applies to.
func (u update) then(p *linkstate.Patch) update {
	if u.record != nil {
		if r, ok := p.Apply(u.record); ok {
			return update{record: r}
		}
	}
	if u.patch != nil {
		if joined, ok := u.patch.Then(p); ok {
			return update{patch: joined}
		}
	}
	return update{patch: p}
}

func newOutbox() *outbox {
	return &outbox{
		ready:   make(chan struct{}, 1),
		updates: make(map[linkstate.GUID]update),
		want:    make(map[linkstate.GUID]struct{}),
	}
}

// put adds a frame to what waits, and never blocks.
func (o *outbox) put(f linkstate.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch f := f.(type) {
	case *linkstate.Records:
		for _, r := range f.Records {
			o.updates[r.Server] = update{record: linkstate.Merge(o.updates[r.Server].record, r)}
		}
		for _, p := range f.Patches {
			o.updates[p.Server] = o.updates[p.Server].then(p)
		}
	case *linkstate.Want:
		for _, s := range f.Servers {
			o.want[s] = struct{}{}
		}
	case *linkstate.Digest:
		if len(f.Entries) == 0 {
			o.bare = f
		} else {
			o.full = f
		}
	case *linkstate.Keepalive:
		o.keepalive = f
	}
	signal(o.ready)
}

// take empties the outbox: records first, so that a digest or a keep-alive
// never speaks of a record that is still to come.
func (o *outbox) take() []linkstate.Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	var frames []linkstate.Frame
	for servers := range slices.Chunk(sorted(o.updates), linkstate.RecordsPerFrame) {
		part := &linkstate.Records{}
		for _, s := range servers {
			if u := o.updates[s]; u.record != nil {
				part.Records = append(part.Records, u.record)
			} else {
				part.Patches = append(part.Patches, u.patch)
			}
		}
		frames = append(frames, part)
	}
	if len(o.want) > 0 {
		frames = append(frames, &linkstate.Want{Servers: sorted(o.want)})
	}
	if o.full != nil {
		frames = append(frames, o.full)
	}
	if o.bare != nil {
		frames = append(frames, o.bare)
	}
	if o.keepalive != nil {
		frames = append(frames, o.keepalive)
	}
	clear(o.updates)
	clear(o.want)
	o.full, o.bare, o.keepalive = nil, nil, nil
	return frames
}

func sorted[V any](m map[linkstate.GUID]V) []linkstate.GUID {
	return slices.SortedFunc(maps.Keys(m), linkstate.GUID.Compare)
}
