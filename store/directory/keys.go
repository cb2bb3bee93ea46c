package directory

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// keyspace is the prefix of one organisation's keys; see the package comment
// for what lies below it.
type keyspace string

func newKeyspace(organization string) keyspace {
	if organization == "" {
		organization = "default"
	}
	return keyspace("/postroad/" + organization + "/")
}

// All objects lie in one range, configuration before recipients, so that one
// watch sees them all and no guard.
func (k keyspace) objects() string    { return string(k) + "object/" }
func (k keyspace) config() string     { return k.objects() + "config/" }
func (k keyspace) recipients() string { return k.objects() + "recipient/" }

func (k keyspace) kind(kind string) string {
	if kind == KindRecipient {
		return k.recipients()
	}
	return k.config() + kind + "/"
}

func (k keyspace) object(key Key) string { return k.kind(key.Kind) + key.Name }

// key is the inverse of object.
func (k keyspace) key(path string) (Key, bool) {
	if name, ok := strings.CutPrefix(path, k.recipients()); ok {
		return Key{KindRecipient, name}, true
	}
	rest, ok := strings.CutPrefix(path, k.config())
	kind, name, found := strings.Cut(rest, "/")
	return Key{kind, name}, ok && found
}

func (k keyspace) address(a string) string         { return string(k) + "guard/address/" + AddressKey(a) }
func (k keyspace) guid(g string) string            { return string(k) + "guard/guid/" + g }
func (k keyspace) homes(server string) string      { return string(k) + "guard/home/" + server + "/" }
func (k keyspace) home(server, name string) string { return k.homes(server) + name }
func (k keyspace) groups() string                  { return string(k) + "guard/group/" }
func (k keyspace) group(name string) string        { return k.groups() + name }
func (k keyspace) configTouched() string           { return string(k) + "touched/config" }
func (k keyspace) groupsTouched() string           { return string(k) + "touched/groups" }
func (k keyspace) identity() string                { return string(k) + "identity" }

// marshal gives what is stored: the revision is etcd's business.
func marshal(o *directoryv1.Object) (string, error) {
	c := proto.CloneOf(o)
	c.Metadata.Revision = 0
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	return string(b), err
}

func unmarshal(path string, value []byte, revision int64) (*directoryv1.Object, error) {
	o := &directoryv1.Object{}
	if err := proto.Unmarshal(value, o); err != nil {
		return nil, fmt.Errorf("etcd key %s: does not hold an object of Postroad: %w", path, err)
	}
	if o.Metadata == nil || KindOf(o) == "" {
		return nil, fmt.Errorf("etcd key %s: holds an object without a spec, or of a kind this version does not know", path)
	}
	o.Metadata.Revision = revision
	return o, nil
}
