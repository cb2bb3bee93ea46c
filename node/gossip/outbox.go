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
	records   map[linkstate.GUID]*linkstate.Record
	want      map[linkstate.GUID]struct{}
	bare      *linkstate.Digest
	full      *linkstate.Digest
	keepalive *linkstate.Keepalive
}

func newOutbox() *outbox {
	return &outbox{
		ready:   make(chan struct{}, 1),
		records: make(map[linkstate.GUID]*linkstate.Record),
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
			o.records[r.Server] = linkstate.Merge(o.records[r.Server], r)
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
	for _, servers := range slices.Collect(slices.Chunk(sorted(o.records), linkstate.RecordsPerFrame)) {
		part := &linkstate.Records{}
		for _, s := range servers {
			part.Records = append(part.Records, o.records[s])
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
	clear(o.records)
	clear(o.want)
	o.full, o.bare, o.keepalive = nil, nil, nil
	return frames
}

func sorted[V any](m map[linkstate.GUID]V) []linkstate.GUID {
	return slices.SortedFunc(maps.Keys(m), linkstate.GUID.Compare)
}
