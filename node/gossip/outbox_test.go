package gossip

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/linkstate"
)

// Whatever a slow reader misses, it gets the newest of everything, and what
// waits for it is bounded.
func TestOutboxCoalesces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		newest := make(map[linkstate.GUID]*linkstate.Record)
		wanted := make(map[linkstate.GUID]bool)
		var bare, full linkstate.Frame
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			g := linkstate.GUID{rapid.ByteRange(0, 9).Draw(t, "server")}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				r := &linkstate.Record{Server: g, Status: linkstate.Alive, Sequence: rapid.Uint64Range(0, 50).Draw(t, "sequence")}
				newest[g] = linkstate.Merge(newest[g], r)
				o.put(&linkstate.Records{Records: []*linkstate.Record{r}})
			case 1:
				wanted[g] = true
				o.put(&linkstate.Want{Servers: []linkstate.GUID{g}})
			case 2:
				bare = &linkstate.Digest{Hash: linkstate.Hash(g)}
				o.put(bare)
			case 3:
				full = &linkstate.Digest{Entries: []linkstate.DigestEntry{{Server: g}}}
				o.put(full)
			}
		}
		frames := o.take()
		if len(frames) > 4 {
			t.Fatalf("%d frames wait", len(frames))
		}
		for _, f := range frames {
			switch f := f.(type) {
			case *linkstate.Records:
				for _, r := range f.Records {
					if newest[r.Server].Sequence != r.Sequence {
						t.Fatalf("sequence %d waits, newest is %d", r.Sequence, newest[r.Server].Sequence)
					}
					delete(newest, r.Server)
				}
			case *linkstate.Want:
				for _, s := range f.Servers {
					delete(wanted, s)
				}
			case *linkstate.Digest:
				if f != bare && f != full {
					t.Fatal("an old digest waits")
				}
			}
		}
		if len(newest) > 0 || len(wanted) > 0 {
			t.Fatalf("lost: records %v, wants %v", newest, wanted)
		}
		if again := o.take(); len(again) != 0 {
			t.Fatalf("taken twice: %v", again)
		}
	})
}

func TestOutboxCutsBigFrames(t *testing.T) {
	o := newOutbox()
	for i := range 600 {
		o.put(&linkstate.Records{Records: []*linkstate.Record{{Server: linkstate.GUID{byte(i >> 8), byte(i)}}}})
	}
	o.put(&linkstate.Keepalive{})
	frames := o.take()
	if len(frames) != 4 {
		t.Fatalf("%d frames, want three of records and the keep-alive", len(frames))
	}
	if _, last := frames[3].(*linkstate.Keepalive); !last {
		t.Error("the keep-alive does not come last")
	}
}

// A reader that takes what waits at any moments ends with the newest record of each
// server, whether changes were put in as patches or whole: patches that wait are
// joined, so that none comes without what it applies to.
func TestOutboxJoinsPatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		newest := make(map[linkstate.GUID]*linkstate.Record)
		reader := make(map[linkstate.GUID]*linkstate.Record)
		take := func() {
			for _, f := range o.take() {
				for _, r := range f.(*linkstate.Records).Records {
					reader[r.Server] = r
				}
				for _, p := range f.(*linkstate.Records).Patches {
					r, ok := p.Apply(reader[p.Server])
					if !ok {
						t.Fatalf("the patch to sequence %d does not apply to %+v", p.Sequence, reader[p.Server])
					}
					reader[p.Server] = r
				}
			}
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "changes") {
			g := linkstate.GUID{rapid.ByteRange(0, 2).Draw(t, "server")}
			was := newest[g]
			next := &linkstate.Record{Server: g, Incarnation: 1, Sequence: uint64(i + 1), Status: linkstate.Alive, Connectors: make([]linkstate.ConnectorState, 3)}
			for c := range next.Connectors {
				if was != nil {
					next.Connectors[c] = was.Connectors[c]
				}
				next.Connectors[c].Connector = linkstate.GUID{byte(c)}
			}
			c := &next.Connectors[rapid.IntRange(0, 2).Draw(t, "connector")]
			c.Down, c.Since = !c.Down, int64(i)
			newest[g] = next
			f := &linkstate.Records{Records: []*linkstate.Record{next}}
			if was != nil && rapid.IntRange(0, 3).Draw(t, "whole") > 0 {
				p, ok := linkstate.Diff(was, next)
				if !ok {
					t.Fatal("no patch")
				}
				f = &linkstate.Records{Patches: []*linkstate.Patch{p}}
			}
			o.put(f)
			if rapid.IntRange(0, 4).Draw(t, "read") == 0 {
				take()
			}
		}
		take()
		for g, want := range newest {
			if linkstate.Compare(reader[g], want) != 0 {
				t.Fatalf("the reader has %+v, newest is %+v", reader[g], want)
			}
		}
	})
}
