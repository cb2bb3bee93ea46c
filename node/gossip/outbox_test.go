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
