package dsn

import (
	"sync"
	"time"
)

// Limits bound reports against backscatter: whoever forges a sender must not be
// able to have this server fill that sender's mailbox. Reports in an hour; zero or
// less: no bound.
type Limits struct {
	PerSender int // to one address
	PerSource int // about messages of one client or account
	Total     int
}

// Bound counts reports. It takes time as an argument and may be used from many
// goroutines; the zero value has counted none. Each count is a bucket that holds as
// many reports as the limit and fills up within an hour.
type Bound struct {
	mu      sync.Mutex
	buckets map[bucketKey]bucket
	swept   time.Time
	dirty   bool // since File
}

type bucketKey struct{ kind, name string }

// bucket is how many reports were used, at a time; the use ebbs by limit an hour.
type bucket struct {
	used float64
	at   time.Time
}

// Kinds of bound, as Take names them.
const (
	BySender = "sender"
	BySource = "source"
	ByTotal  = "total"
)

// Take counts a report to an address about a message of a source ("": not known),
// unless that is over a limit; then it counts nothing and names the limit.
func (b *Bound) Take(now time.Time, l Limits, to, source string) (over string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buckets == nil {
		b.buckets = map[bucketKey]bucket{}
	}
	b.sweep(now)
	type count struct {
		key   bucketKey
		limit int
	}
	counts := []count{{bucketKey{BySender, to}, l.PerSender}, {bucketKey{BySource, source}, l.PerSource}, {bucketKey{ByTotal, ""}, l.Total}}
	for _, c := range counts {
		if k := b.buckets[c.key]; k.at.After(now) { // the clock was set back: it ebbs from now on
			b.buckets[c.key] = bucket{k.used, now}
		}
		if c.limit > 0 && (c.key.kind != BySource || source != "") && b.buckets[c.key].left(now, c.limit)+1 > float64(c.limit) {
			return c.key.kind
		}
	}
	b.dirty = true
	for _, c := range counts {
		if c.limit > 0 && (c.key.kind != BySource || source != "") {
			b.buckets[c.key] = bucket{b.buckets[c.key].left(now, c.limit) + 1, now}
		}
	}
	return ""
}

// left is the use that has not ebbed yet.
func (k bucket) left(now time.Time, limit int) float64 {
	return max(0, min(k.used, float64(limit))-max(0, now.Sub(k.at).Hours())*float64(limit))
}

// sweep forgets, once in an hour, what has ebbed: a use never lasts longer than
// that. So no more is kept than reports were made in two hours.
func (b *Bound) sweep(now time.Time) {
	if passed := now.Sub(b.swept); passed >= 0 && passed < time.Hour {
		return
	}
	b.swept = now
	for key, k := range b.buckets {
		if now.Sub(k.at) >= time.Hour {
			delete(b.buckets, key)
		}
	}
}
