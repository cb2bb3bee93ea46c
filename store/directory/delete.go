package directory

import (
	"context"
	"errors"
	"fmt"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Delete removes an object. It is refused with ErrInvalid while other objects
// name it, which the error lists; with ErrConflict if revision is neither 0 nor
// the current one.
func (d *Directory) Delete(ctx context.Context, kind, name string, revision int64, dryRun bool) (Change, int64, error) {
	for range maxAttempts {
		change, done, err := d.tryDelete(ctx, Key{kind, name}, revision, dryRun)
		if errors.Is(err, errLostRace) {
			continue
		}
		return change, done, err
	}
	return Change{}, 0, fmt.Errorf("%s/%s: %w: gave up after %d attempts", kind, name, ErrConflict, maxAttempts)
}

func (d *Directory) tryDelete(ctx context.Context, key Key, revision int64, dryRun bool) (Change, int64, error) {
	s, err := d.readState(ctx)
	if err != nil {
		return Change{}, 0, err
	}
	p := &plan{state: s, keys: d.keys}
	current, err := d.currentAt(ctx, s, key)
	if err != nil {
		return Change{}, 0, err
	}
	if has := current.GetMetadata().GetRevision(); revision != 0 && revision != has {
		return Change{}, 0, fmt.Errorf("%s: %w (revision %d was read, %d is current)", key, ErrConflict, revision, has)
	}
	if err := d.checkUnused(ctx, s, key); err != nil {
		return Change{}, 0, err
	}
	change := Change{directoryv1.Action_ACTION_DELETED, current, nil}
	if dryRun {
		return change, s.revision, nil
	}
	done, err := d.runDelete(ctx, p.newTransaction(), key, current)
	return change, done, err
}

func (d *Directory) runDelete(ctx context.Context, t *transaction, key Key, current *directoryv1.Object) (int64, error) {
	path := d.keys.object(key)
	t.require(path, current.GetMetadata().GetRevision())
	t.remove(path)
	t.remove(d.keys.guid(current.GetMetadata().GetGuid()))
	switch key.Kind {
	case KindRecipient:
		t.recipient(key.Name, current.GetRecipient(), nil)
		// A group that takes the recipient in at this moment must lose or win.
		t.touchGroups()
		// So must a connector whose list takes it in.
		t.require(d.keys.configTouched(), t.configTouched)
	case KindServer:
		t.ifs[d.keys.homes(key.Name)] = noneBelow(d.keys.homes(key.Name))
		fallthrough
	default:
		t.require(d.keys.configTouched(), t.configTouched)
		t.put(d.keys.configTouched(), key.String())
	}
	return d.run(ctx, t)
}

func (d *Directory) currentAt(ctx context.Context, s *state, key Key) (*directoryv1.Object, error) {
	if key.Kind != KindRecipient {
		if o, ok := s.config[key]; ok {
			return o, nil
		}
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	resp, err := d.get(ctx, d.keys.object(key), clientv3.WithRev(s.revision))
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return fromKV(resp.Kvs[0])
}

// checkUnused refuses to delete what other objects name.
func (d *Directory) checkUnused(ctx context.Context, s *state, key Key) error {
	var users []Key
	switch key.Kind {
	case KindRecipient:
		groups, err := d.readGroups(ctx, s.revision)
		if err != nil {
			return err
		}
		all := make(map[Key]*directoryv1.Object, len(groups))
		for _, o := range groups {
			all[KeyOf(o)] = o
		}
		users = append(referrers(key, all), referrers(key, s.config)...)
	case KindOrganization:
		if len(s.config) > 1 {
			return Invalid([]Problem{{key.Kind, key.Name, "", "is the organisation of all other objects; delete them first"}})
		}
	default:
		users = referrers(key, s.config)
	}
	if key.Kind == KindServer {
		homes, err := d.homes(ctx, s.revision, key.Name)
		if err != nil {
			return err
		}
		users = append(homes, users...)
	}
	if len(users) > 0 {
		return Invalid([]Problem{{key.Kind, key.Name, "", "is still used by " + listed(users) + "; change or delete these first"}})
	}
	return nil
}

// homes names some mailboxes of a server; it may have a million.
func (d *Directory) homes(ctx context.Context, revision int64, server string) ([]Key, error) {
	prefix := d.keys.homes(server)
	resp, err := d.get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(revision), clientv3.WithLimit(3), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	return recipientKeys(prefix, resp.Kvs), nil
}

func recipientKeys(prefix string, kvs []*mvccpb.KeyValue) []Key {
	var keys []Key
	for _, kv := range kvs {
		keys = append(keys, Key{KindRecipient, string(kv.Key[len(prefix):])})
	}
	return keys
}
