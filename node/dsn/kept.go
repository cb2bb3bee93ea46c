package dsn

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// kept is one count of a Bound as it is kept over a restart.
type kept struct {
	Kind string    `json:"kind"`
	Name string    `json:"name,omitempty"`
	Used float64   `json:"used"`
	At   time.Time `json:"at"`
}

// File gives what is to be kept on disk, for Restore; nil if nothing was counted
// since the last time, and that was not [Bound.Unsaved]. The same counts give the same octets.
func (b *Bound) File(now time.Time) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty {
		return nil, nil
	}
	all := []kept{}
	for key, k := range b.buckets {
		if now.Sub(k.at) < time.Hour { // the rest has ebbed
			all = append(all, kept{key.kind, key.name, k.used, k.at.UTC()})
		}
	}
	slices.SortFunc(all, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	text, err := json.Marshal(all)
	if err == nil {
		b.dirty = false
	}
	return text, err
}

// Unsaved says that what File gave last is not on the disk.
func (b *Bound) Unsaved() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = true
}

// Restore takes over what File gave before a restart; what was counted since counts
// more. Times beyond now, by a clock that was wrong, are taken for now: nobody is to
// wait for a wrong clock.
func (b *Bound) Restore(file []byte, now time.Time) error {
	var all []kept
	if err := json.Unmarshal(file, &all); err != nil {
		return fmt.Errorf("counts of reports: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buckets == nil {
		b.buckets = map[bucketKey]bucket{}
	}
	for _, k := range all {
		if k.At.After(now) {
			k.At = now
		}
		key := bucketKey{k.Kind, k.Name}
		if _, counted := b.buckets[key]; !counted && k.Used > 0 && now.Sub(k.At) < time.Hour {
			b.buckets[key] = bucket{k.Used, k.At}
		}
	}
	return nil
}
