package linkstate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Tables given out are never changed, though a step builds its own in place; and
// what it builds is what one record at a time would have made.
func TestStepsLeaveSnapshotsAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.up(far)
		snapshots := []*Table{b.m.Table()}
		digests := []Hash{b.m.Table().Digest()}
		naive := b.m.Table()
		for range rapid.IntRange(1, 4).Draw(rt, "frames") {
			var records []*Record
			for range rapid.IntRange(1, 5).Draw(rt, "records") {
				r := anyRecord(rt, "record")
				r.Server = rapid.SampledFrom([]GUID{mate, mate2, far, far2}).Draw(rt, "server")
				records = append(records, r)
				if cur := naive.Get(r.Server); cur == nil || Compare(r, cur) > 0 {
					naive = naive.with(r, b.now)
				}
			}
			b.receive(far, records...)
			snapshots, digests = append(snapshots, b.m.Table()), append(digests, b.m.Table().Digest())
		}
		for i, s := range snapshots {
			var sum Hash
			for _, r := range s.All() {
				sum.toggle(r.Hash())
			}
			if sum != digests[i] || s.Digest() != digests[i] {
				rt.Fatalf("snapshot %d has changed after it was given out", i)
			}
		}
		last := snapshots[len(snapshots)-1]
		if last.Digest() != naive.Digest() || last.Version() != naive.Version() || !slices.Equal(last.All(), naive.All()) {
			rt.Fatalf("table %v, one record at a time gives %v", last.All(), naive.All())
		}
	})
}
