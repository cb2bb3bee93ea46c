package directory

import (
	"hash/fnv"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// ID stands for the entry where only equality counts. It depends on the entry
// alone, so that queues on disk and other nodes mean the same by it; that of the
// null reverse path is 0.
func (s Sender) ID() uint64 {
	if s.Kind == SenderNull {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(s.Key()))
	return h.Sum64() | 1
}

// SenderLists are the entries of all connectors' lists, by what they say. The
// zero value has none.
type SenderLists struct {
	// Lists has each list of each connector once, those that reject first.
	Lists [][]uint64

	entries    map[string]uint64 // by Sender.Key
	recipients bool
}

// SenderLists are those of the configuration; they must not be changed.
func (c *Configuration) SenderLists() *SenderLists { return &c.senderLists }

func (c *Configuration) deriveSenderLists() {
	var reject, accept [][]uint64
	add := func(r *directoryv1.Restrictions) {
		reject, accept = c.senderLists.add(reject, r.GetRejectFrom()), c.senderLists.add(accept, r.GetAcceptFrom())
	}
	for _, r := range c.rgcs.list {
		add(r.Spec.GetRestrictions())
	}
	for _, s := range c.smtpConnectors.list {
		add(s.Spec.GetRestrictions())
	}
	for _, f := range c.foreign.list {
		add(f.Spec.GetRestrictions())
	}
	c.senderLists.Lists = append(reject, accept...)
}

func (l *SenderLists) add(to [][]uint64, list []string) [][]uint64 {
	if len(list) == 0 {
		return to
	}
	if l.entries == nil {
		l.entries = make(map[string]uint64)
	}
	for _, e := range senders(list) {
		l.entries[e.Key()] = e.ID()
		l.recipients = l.recipients || e.Kind == SenderRecipient
	}
	return append(to, SenderIDs(list))
}

// SenderIDs are the IDs of a list's entries. What cannot be read is nobody.
func SenderIDs(list []string) []uint64 {
	var ids []uint64
	for _, e := range senders(list) {
		ids = append(ids, e.ID())
	}
	return ids
}

func senders(list []string) []Sender {
	var all []Sender
	for _, text := range list {
		if e, err := ParseSender(text); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// Empty says whether no connector has a list.
func (l *SenderLists) Empty() bool { return len(l.Lists) == 0 }

// Recipients says whether a list names a recipient of the directory.
func (l *SenderLists) Recipients() bool { return l.recipients }

// Address gives the entries that name an address, in the form of [AddressKey],
// or its domain.
func (l *SenderLists) Address(key string) []uint64 {
	ids := l.named(nil, Sender{SenderAddress, key})
	domain := key[strings.LastIndexByte(key, '@')+1:]
	ids = l.named(ids, Sender{SenderDomain, domain})
	for {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return ids
		}
		domain = above
		ids = l.named(ids, Sender{SenderBelow, domain})
	}
}

// Recipient gives the entries that name a recipient itself.
func (l *SenderLists) Recipient(name string) []uint64 {
	return l.named(nil, Sender{SenderRecipient, name})
}

func (l *SenderLists) named(ids []uint64, e Sender) []uint64 {
	if id, ok := l.entries[e.Key()]; ok {
		return append(ids, id)
	}
	return ids
}
