package routing

// Buckets is how many parts spreading cuts a stream of messages into. One
// server's mail is spread to within a part or so in Buckets of what the weights
// say; over many servers the differences even out, for each cuts it differently.
const Buckets = 64

// Bucket is the part that a message with this identity belongs to, 1 to
// [Buckets]. All servers put a message into the same one.
func Bucket(identity []byte) uint8 {
	h := uint64(len(identity))
	for _, b := range identity {
		h = mix(h<<8 ^ h>>56 ^ uint64(b))
	}
	return 1 + uint8(mix(h)%Buckets)
}

// Spread says what a connector is chosen by among equally cheap ones, and a
// bridgehead among those of the connector.
type Spread uint8

// Ways to spread.
const (
	PerServer  Spread = iota // each server stays with one as long as that works
	PerMessage               // by the message's bucket
)

// MaxWeight bounds weights.
const MaxWeight = 100

// Score is the weight of b for a in highest-random-weight hashing when b has a
// share: b draws as many lots as its share, and the best counts. So one with
// share 2 wins twice as often as one with share 1, exactly; one whose share
// grows only wins more; and [Weight] is the score of share 1. A share below 1
// counts as 1, one above [MaxWeight] as that.
func Score(a, b GUID, share int) uint64 {
	first := Weight(a, b)
	best, lot := first, first
	for range min(share, MaxWeight) - 1 {
		lot = mix(lot + 0x9e3779b97f4a7c15)
		best = max(best, lot)
	}
	return best
}

// chooser is who prefers one connector or bridgehead to another: this server, or
// one bucket of its messages. Each server cuts its mail differently, so that the
// unevenness of one is not that of all.
func chooser(self GUID, spread Spread, bucket uint8) GUID {
	g := self
	if spread == PerMessage && bucket != 0 {
		for i := range 8 {
			g[i] ^= byte(mix(uint64(bucket)) >> (8 * i))
		}
	}
	return g
}

// anySpread says whether a bucket can matter here: to who crosses from the own
// group, or to which connector to an address is chosen.
func (t *Table) anySpread() bool {
	for i := range t.conns {
		n := &t.conns[i]
		if n.spreads && (n.group == t.group || len(t.top.Connectors[i].AddressSpaces) > 0) {
			return true
		}
	}
	return false
}

// Spreads says whether decisions can depend on a message's bucket at all.
func (t *Table) Spreads() bool { return t.spreads }

// score is that of a connector among equally cheap ones.
func (t *Table) score(conn int32, bucket uint8) uint64 {
	c := &t.top.Connectors[conn]
	return Score(chooser(t.top.Self, c.Spread, bucket), c.GUID, c.Weight)
}

// share is the part of a bridgehead in its connector.
func (c *Connector) share(server GUID) int { return c.Weights[server] }

// spreadList ranks what is up of list for each bucket.
func (t *Table) spreadList(c *Connector, list []Ranked) [][]GUID {
	all := make([][]GUID, Buckets+1)
	for b := 1; b <= Buckets; b++ {
		all[b] = t.live(c, list, uint8(b))
	}
	return all
}

// forBucket is the list of a bucket; one that is the same for all has no buckets.
func forBucket(plain []GUID, spread [][]GUID, bucket uint8) []GUID {
	if spread == nil || bucket == 0 {
		return plain
	}
	return spread[bucket]
}
