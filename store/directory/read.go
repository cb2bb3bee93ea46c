package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const (
	pageSize = 1000 // objects in one range request
	batchOps = 100  // gets in one transaction; etcd's default limit is 128
)

// Get reads one object; errors.Is(err, ErrNotFound) if there is none.
func (d *Directory) Get(ctx context.Context, kind, name string) (*directoryv1.Object, error) {
	key := Key{kind, name}
	if !IsKind(kind) {
		return nil, fmt.Errorf("%s: %w: there is no such kind", key, ErrNotFound)
	}
	resp, err := d.get(ctx, d.keys.object(key))
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return fromKV(resp.Kvs[0])
}

// List reads all objects of a kind, or with "" everything, sorted by kind and
// name, as they were at the revision that it returns.
func (d *Directory) List(ctx context.Context, kind string) (objs []*directoryv1.Object, revision int64, err error) {
	prefix := d.keys.objects()
	if kind != "" {
		if !IsKind(kind) {
			return nil, 0, fmt.Errorf("kind %q: %w", kind, ErrNotFound)
		}
		prefix = d.keys.kind(kind)
	}
	revision, err = d.pages(ctx, prefix, 0, func(kvs []*mvccpb.KeyValue, _ int64, _ bool) error {
		for _, kv := range kvs {
			o, err := fromKV(kv)
			if err != nil {
				return err
			}
			objs = append(objs, o)
		}
		return nil
	})
	return objs, revision, err
}

// pages reads a range in key order at one revision (0: the newest) and calls fn
// for each page, at least once; last marks the final one.
func (d *Directory) pages(ctx context.Context, prefix string, revision int64,
	fn func(kvs []*mvccpb.KeyValue, revision int64, last bool) error,
) (int64, error) {
	end := clientv3.GetPrefixRangeEnd(prefix)
	for from := prefix; ; {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageSize)}
		if revision > 0 {
			opts = append(opts, clientv3.WithRev(revision))
		}
		resp, err := d.get(ctx, from, opts...)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		if err := fn(resp.Kvs, revision, !resp.More); err != nil {
			return 0, err
		}
		if !resp.More {
			return revision, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// getAll reads single keys at a revision, those that exist.
func (d *Directory) getAll(ctx context.Context, keys map[string]bool, revision int64) (map[string]*mvccpb.KeyValue, error) {
	found := make(map[string]*mvccpb.KeyValue, len(keys))
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(keys)), batchOps) {
		ops := make([]clientv3.Op, len(chunk))
		for i, k := range chunk {
			ops[i] = clientv3.OpGet(k, clientv3.WithRev(revision))
		}
		resp, err := d.txn(ctx, nil, ops)
		if err != nil {
			return nil, err
		}
		for _, r := range resp.Responses {
			for _, kv := range r.GetResponseRange().GetKvs() {
				found[string(kv.Key)] = kv
			}
		}
	}
	return found, nil
}

func fromKV(kv *mvccpb.KeyValue) (*directoryv1.Object, error) {
	return unmarshal(string(kv.Key), kv.Value, kv.ModRevision)
}

// state is what a change is planned against: everything at one revision.
type state struct {
	revision      int64
	identity      string // "" before the first change
	configTouched int64  // revision of the guard; 0: never written
	groupsTouched int64
	config        map[Key]*directoryv1.Object
}

func (d *Directory) readState(ctx context.Context) (*state, error) {
	resp, err := d.txn(ctx, nil, []clientv3.Op{
		clientv3.OpGet(d.keys.identity()),
		clientv3.OpGet(d.keys.configTouched()),
		clientv3.OpGet(d.keys.groupsTouched()),
	})
	if err != nil {
		return nil, err
	}
	s := &state{revision: resp.Header.Revision, config: map[Key]*directoryv1.Object{}}
	for i, target := range []func(*mvccpb.KeyValue){
		func(kv *mvccpb.KeyValue) { s.identity = string(kv.Value) },
		func(kv *mvccpb.KeyValue) { s.configTouched = kv.ModRevision },
		func(kv *mvccpb.KeyValue) { s.groupsTouched = kv.ModRevision },
	} {
		for _, kv := range resp.Responses[i].GetResponseRange().GetKvs() {
			target(kv)
		}
	}
	_, err = d.pages(ctx, d.keys.config(), s.revision, func(kvs []*mvccpb.KeyValue, _ int64, _ bool) error {
		for _, kv := range kvs {
			o, err := fromKV(kv)
			if err != nil {
				return err
			}
			s.config[KeyOf(o)] = o
		}
		return nil
	})
	return s, err
}

// readGroups reads all distribution groups, at the state's revision.
func (d *Directory) readGroups(ctx context.Context, revision int64) (map[string]*directoryv1.Object, error) {
	keys := map[string]bool{}
	_, err := d.pages(ctx, d.keys.groups(), revision, func(kvs []*mvccpb.KeyValue, _ int64, _ bool) error {
		for _, kv := range kvs {
			keys[d.keys.recipients()+string(kv.Key[len(d.keys.groups()):])] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	kvs, err := d.getAll(ctx, keys, revision)
	groups := make(map[string]*directoryv1.Object, len(kvs))
	for _, kv := range kvs {
		o, e := fromKV(kv)
		if e != nil {
			return nil, e
		}
		groups[KeyOf(o).Name] = o
	}
	return groups, err
}
