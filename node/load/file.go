package load

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// File gives what is to be kept on disk (LoadFile); nil if nothing was counted
// since the last time, and that was not [Counter.Unsaved].
func (c *Counter) File(now time.Time) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil, nil
	}
	f := &topologyv1.LoadFile{SinceHour: c.since}
	for _, p := range slices.SortedFunc(maps.Keys(c.series), Purpose.compare) {
		s := c.series[p]
		one := &topologyv1.LoadSeries{Connector: p.Connector, TargetGroup: p.Group, AddressSpace: p.Space}
		for i, h := range s.hour {
			if n := s.count[i]; h > hourOf(now)-Hours {
				one.Hours = append(one.Hours, &topologyv1.LoadHour{
					Hour: h, Messages: n.Messages, Bytes: n.Bytes, EnteredMessages: n.Entered, EnteredBytes: n.EnteredBytes,
				})
			}
		}
		if len(one.Hours) > 0 {
			f.Series = append(f.Series, one)
		}
	}
	b, err := proto.Marshal(f)
	if err == nil {
		c.dirty = false
	}
	return b, err
}

// Unsaved says that what File gave last is not on the disk.
func (c *Counter) Unsaved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// Restore adds what was kept on disk to what has been counted since the start.
// Hours beyond now, by a clock that was wrong, are left out.
func (c *Counter) Restore(file []byte, now time.Time) error {
	var f topologyv1.LoadFile
	if err := proto.Unmarshal(file, &f); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	this := hourOf(now)
	if h := f.GetSinceHour(); h > 0 {
		c.since = min(c.since, h)
	}
	for _, one := range f.GetSeries() {
		p := Purpose{one.GetConnector(), one.GetTargetGroup(), one.GetAddressSpace()}
		for _, h := range one.GetHours() {
			if h.GetHour() > this-Hours && h.GetHour() <= this {
				c.of(p, this).put(h.GetHour(), Count{h.GetMessages(), h.GetBytes(), h.GetEnteredMessages(), h.GetEnteredBytes()})
			}
		}
	}
	return nil
}
