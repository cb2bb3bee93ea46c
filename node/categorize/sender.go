package categorize

import (
	"fmt"
	"slices"
	"sync"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// maxSenderIDs bounds what is kept of a sender. It takes more than so many lists
// that have nothing else in common for one of them to be passed over, and those
// that reject are the last.
const maxSenderIDs = 32

// cachedSenders bounds the senders whose answer is remembered.
const cachedSenders = 8192

// senders knows what the connectors' sender lists say of senders, as of one
// state of the directory.
type senders struct {
	lists    *directory.SenderLists
	revision int64

	mu    sync.RWMutex
	known map[string]mail.Sender // by address
}

// senders gives the answers for the present state of the directory.
func (c *Categorizer) senders() *senders {
	// The revision is read first: what is found out afterwards is at least as new.
	revision, lists := c.dir.Revision(), c.dir.Config().SenderLists()
	s := c.known.Load()
	if s == nil || s.lists != lists || s.revision != revision {
		s = &senders{lists: lists, revision: revision, known: make(map[string]mail.Sender)}
		c.known.Store(s)
	}
	return s
}

// Sender says which entries of the connectors' sender lists name a sender: by
// its address, its domain, as a recipient, or as a member of a group, however
// deep. Not every such entry is given, but one of each list that has any. An
// error is temporary.
func (c *Categorizer) Sender(from mail.Address) (mail.Sender, error) {
	s := c.senders()
	if s.lists.Empty() {
		return "", nil
	}
	if from.IsZero() {
		return mail.NewSender([]uint64{directory.Sender{Kind: directory.SenderNull}.ID()}), nil
	}
	key := from.Key()
	s.mu.RLock()
	found, ok := s.known[key]
	s.mu.RUnlock()
	if ok {
		return found, nil
	}
	ids, err := c.named(s.lists, key)
	if err != nil {
		return "", fmt.Errorf("looking up the sender %s: %w", from, err)
	}
	found = mail.NewSender(needed(s.lists.Lists, ids))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= cachedSenders {
		clear(s.known)
	}
	s.known[key] = found
	return found, nil
}

// named collects all entries that name the address. It goes up from the sender
// to the groups it is in, not down from the listed groups to their members:
// groups may be large, and a person is in few.
func (c *Categorizer) named(lists *directory.SenderLists, key string) ([]uint64, error) {
	ids := lists.Address(key)
	if !lists.Recipients() {
		return ids, nil
	}
	o, found, err := c.dir.Lookup(key)
	if err != nil || !found {
		return ids, err
	}
	queue := []string{o.GetMetadata().GetName()}
	seen := map[string]bool{queue[0]: true}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		ids = append(ids, lists.Recipient(name)...)
		groups, err := c.dir.GroupsOf(name)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if !seen[g] {
				seen[g] = true
				queue = append(queue, g)
			}
		}
	}
	return ids, nil
}

// needed keeps one entry of each list that has any: what a connector does
// depends on no more, and senders who are alike become equal.
func needed(lists [][]uint64, ids []uint64) []uint64 {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	var kept []uint64
	has := func(set []uint64) func(uint64) bool {
		return func(id uint64) bool { return slices.Contains(set, id) }
	}
	for _, list := range lists {
		if slices.ContainsFunc(kept, has(list)) || len(kept) == maxSenderIDs {
			continue
		}
		if i := slices.IndexFunc(ids, has(list)); i >= 0 {
			kept = append(kept, ids[i])
		}
	}
	return kept
}
