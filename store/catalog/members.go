package catalog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// GroupsOf are the names of the distribution groups that list a recipient
// themselves, sorted; those that have it by way of another group are found by
// asking for that. It reads the disk: a group may have a million members, and
// only the few that send are ever asked for.
func (c *Catalog) GroupsOf(name string) ([]string, error) {
	prefix := memberPrefix + name + "/"
	lower, upper := keyRange(prefix)
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	var groups []string
	for ok := it.First(); ok; ok = it.Next() {
		groups = append(groups, strings.TrimPrefix(string(it.Key()), prefix))
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return groups, nil
}

// indexBatch bounds the octets that are collected before they are written.
const indexBatch = 4 << 20

// indexMembers writes the memberships of all recipients. A crash in between
// leaves nothing wrong: the state says only after it that they are there.
func (c *Catalog) indexMembers() error {
	batch := c.db.NewBatch()
	defer func() { batch.Close() }()
	var failed error
	err := c.scan(recipientPrefix, func(o *directoryv1.Object) {
		for _, m := range o.GetRecipient().GetGroup().GetMembers() {
			failed = errors.Join(failed, batch.Set(memberPath(m, o.GetMetadata().GetName()), nil, nil))
		}
		if failed == nil && batch.Len() > indexBatch {
			failed = batch.Commit(pebble.NoSync)
			batch.Close()
			batch = c.db.NewBatch()
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("memberships: %w", err)
	}
	return batch.Commit(pebble.NoSync)
}
