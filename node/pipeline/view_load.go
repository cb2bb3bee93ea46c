package pipeline

import (
	"cmp"
	"maps"
	"slices"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// weight is messages and octets.
type weight struct{ messages, bytes int64 }

func (w *weight) add(o weight) { w.messages, w.bytes = w.messages+o.messages, w.bytes+o.bytes }

func (w *weight) sub(o weight) { w.messages, w.bytes = w.messages-o.messages, w.bytes-o.bytes }

// between is mail by where it entered the organisation and where it goes: a group
// or an address space.
type between struct{ from, group, space string }

// offered is the mail of the last day, as all nodes together know it, and what a
// change does to it.
type offered struct {
	mail    map[between]weight
	carried map[string]weight // by connector
	change  map[string]weight // by connector
	moved   *weight
}

func offeredBy(of []*topologyv1.TrafficResponse) offered {
	o := offered{make(map[between]weight), make(map[string]weight), make(map[string]weight), new(weight)}
	for _, t := range of {
		for _, f := range t.GetFlows() {
			k := between{t.GetGroup(), f.GetTargetGroup(), f.GetAddressSpace()}
			w := o.mail[k]
			w.add(weight{f.GetEnteredMessages(), f.GetEnteredBytes()})
			o.mail[k] = w
			c := o.carried[f.GetConnector()]
			c.add(weight{f.GetMessages(), f.GetBytes()})
			o.carried[f.GetConnector()] = c
		}
	}
	return o
}

func (o offered) toGroup(from, to string) weight { return o.mail[between{from, to, ""}] }

func (o offered) toSpace(from, space string) weight { return o.mail[between{from, "", space}] }

// move takes mail from some connectors to others.
func (o offered) move(w weight, before, after []string) {
	if w == (weight{}) {
		return
	}
	o.moved.add(w)
	for _, k := range before {
		c := o.change[k]
		c.sub(w)
		o.change[k] = c
	}
	for _, k := range after {
		c := o.change[k]
		c.add(w)
		o.change[k] = c
	}
}

// changes are the connectors that carry something else, the greatest change first.
func (o offered) changes() []*topologyv1.LoadChange {
	var out []*topologyv1.LoadChange
	for _, name := range slices.Sorted(maps.Keys(o.change)) {
		if d := o.change[name]; d != (weight{}) {
			now := o.carried[name]
			out = append(out, &topologyv1.LoadChange{
				Connector: name, Messages: now.messages, Bytes: now.bytes, MessagesDelta: d.messages, BytesDelta: d.bytes,
			})
		}
	}
	slices.SortStableFunc(out, func(a, b *topologyv1.LoadChange) int {
		return cmp.Compare(max(b.GetMessagesDelta(), -b.GetMessagesDelta()), max(a.GetMessagesDelta(), -a.GetMessagesDelta()))
	})
	return out
}
