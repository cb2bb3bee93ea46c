package routing

import (
	"encoding/binary"
	"math/bits"
)

// index finds the places of GUIDs in a slice. Building a table looks up each end
// of each connector; a map of the language takes several times as long for that.
// It is an open hash table, at most half full.
type index struct {
	keys  []GUID
	at    []int32 // by slot: 1 + place; 0: free
	shift uint8
}

// newIndex makes room for n GUIDs.
func newIndex(n int) index {
	size := bits.Len(uint(2*n + 1))
	return index{keys: make([]GUID, 1<<size), at: make([]int32, 1<<size), shift: uint8(64 - size)}
}

func (x *index) slot(g *GUID) int {
	h := (binary.LittleEndian.Uint64(g[:8]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(g[8:]), 29)) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	s := int(h >> x.shift)
	for x.at[s] != 0 && x.keys[s] != *g {
		if s++; s == len(x.at) {
			s = 0
		}
	}
	return s
}

// put notes the place of a GUID; the last one counts.
func (x *index) put(g *GUID, place int) {
	s := x.slot(g)
	x.keys[s], x.at[s] = *g, int32(place)+1
}

func (x *index) get(g GUID) (place int32, ok bool) {
	if len(x.at) == 0 {
		return 0, false
	}
	place = x.at[x.slot(&g)] - 1
	return place, place >= 0
}
