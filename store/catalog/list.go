package catalog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Objects lists the objects of a kind ("": all kinds), or the one with the
// name, configuration first. It reads the disk and is meant for people who look
// while etcd is away.
func (c *Catalog) Objects(kind, name string) ([]*directoryv1.Object, error) {
	var all []*directoryv1.Object
	for _, prefix := range []string{configPrefix, recipientPrefix} {
		err := c.scan(prefix, func(o *directoryv1.Object) {
			m := o.GetMetadata()
			if (kind == "" || directory.KindOf(o) == kind) && (name == "" || m.GetName() == name) {
				all = append(all, o)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *Catalog) scan(prefix string, each func(*directoryv1.Object)) error {
	lower, upper := keyRange(prefix)
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		o := new(directoryv1.Object)
		if err := proto.Unmarshal(it.Value(), o); err != nil {
			return errors.Join(fmt.Errorf("catalog: object at %q: %w", it.Key(), err), it.Close())
		}
		each(o)
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}
