package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Options of a catalog.
type Options struct {
	// Logger; nil: none.
	Logger *zap.Logger
	// MinFree is the free disk space in octets below which nothing is written;
	// 0: 64 MiB.
	MinFree uint64
	// Free measures the free disk space; nil: of the disk that holds the folder.
	Free func() (uint64, error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Catalog is the replica. Its readers may be any number of goroutines.
type Catalog struct {
	db    *store
	log   *zap.Logger
	low   uint64
	free  func() (uint64, error)
	now   func() time.Time
	conf  atomic.Pointer[directory.Configuration]
	state atomic.Pointer[state]

	byAddress, byName cache
	// strangers are addresses that nobody has: most recipients of a relay. They
	// have a cache of their own, or a dictionary attack would empty the others.
	strangers cache

	mu          sync.Mutex // held by writers
	objects     map[directory.Key]*directoryv1.Object
	swept       []byte    // during a snapshot: the key up to which it has come
	dirty       bool      // during a snapshot: configuration has changed
	savedState  time.Time // when the contact was last written
	subscribers map[int]func(*directory.Configuration)
	next        int
}

// state is how far the catalog has followed.
type state struct {
	Identity   string    `json:"identity"`
	Revision   int64     `json:"revision"`
	Contact    time.Time `json:"contact"` // zero: never
	Recipients int       `json:"recipients"`
	// Members: memberships are indexed; release 0.1.0 did not do that.
	Members bool `json:"members"`
}

// Open opens the catalog in a folder, or makes a new one in an empty or missing
// folder. It fails with ErrFolder for a damaged or foreign folder, and with
// ErrInUse for a second opening; both leave it as it is.
func Open(dir string, o Options) (*Catalog, error) {
	c := &Catalog{
		log: o.Logger, low: o.MinFree, free: o.Free, now: o.Now,
		objects:     map[directory.Key]*directoryv1.Object{},
		subscribers: map[int]func(*directory.Configuration){},
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.low == 0 {
		c.low = 64 << 20
	}
	if c.free == nil {
		c.free = func() (uint64, error) {
			u, err := vfs.Default.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
	db, err := openStore(dir, c.log)
	if err != nil {
		return nil, err
	}
	c.db = db
	if err := c.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("catalog %s: %w (%w)", dir, ErrFolder, err), db.Close())
	}
	return c, nil
}

// Close ends writing; no method may be called after it.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.saveContact(), c.db.Close())
}

// load reads the configuration and the state.
func (c *Catalog) load() error {
	s := &state{}
	if text, err := c.read(stateKey()); err != nil {
		return err
	} else if text != nil {
		if err := json.Unmarshal(text, s); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	if !s.Members {
		if err := c.indexMembers(); err != nil {
			return err
		}
		s.Members = true
	}
	c.state.Store(s)
	lower, upper := keyRange(configPrefix)
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		o, err := decode(it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		c.objects[directory.KeyOf(o)] = o
	}
	if err := it.Close(); err != nil {
		return err
	}
	conf, err := directory.NewConfiguration(s.Revision, c.list())
	if err != nil {
		return err
	}
	c.conf.Store(conf)
	return nil
}

func (c *Catalog) list() []*directoryv1.Object {
	objs := make([]*directoryv1.Object, 0, len(c.objects))
	for _, o := range c.objects {
		objs = append(objs, o)
	}
	return objs
}

// Config is the current configuration; never nil, but empty until the first
// contact with the directory.
func (c *Catalog) Config() *directory.Configuration { return c.conf.Load() }

// Lookup finds the recipient that has the address, written as
// [directory.AddressKey] writes it. The object is shared and must not be changed.
func (c *Catalog) Lookup(addressKey string) (*directoryv1.Object, bool, error) {
	o, generation := c.byAddress.get(addressKey)
	if o != nil {
		return o, true, nil
	}
	stranger, unchanged := c.strangers.get(addressKey)
	if stranger != nil {
		return nil, false, nil
	}
	// An address may move between the two reads: then its old owner may be gone.
	for range 2 {
		name, err := c.read(addressPath(addressKey))
		if err == nil && name == nil {
			c.strangers.put(addressKey, new(directoryv1.Object), unchanged)
		}
		if err != nil || name == nil {
			return nil, false, err
		}
		o, err := c.readRecipient(string(name))
		if err != nil {
			return nil, false, err
		}
		if o != nil {
			c.byAddress.put(addressKey, o, generation)
			return o, true, nil
		}
	}
	return nil, false, nil
}

// RecipientByName finds a recipient. The object is shared and must not be changed.
func (c *Catalog) RecipientByName(name string) (*directoryv1.Object, bool, error) {
	o, generation := c.byName.get(name)
	if o != nil {
		return o, true, nil
	}
	o, err := c.readRecipient(name)
	if o != nil {
		c.byName.put(name, o, generation)
	}
	return o, o != nil, err
}

// readRecipient reads from disk; nil if there is no such recipient.
func (c *Catalog) readRecipient(name string) (*directoryv1.Object, error) {
	value, closer, err := c.db.Get(recipientPath(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	o, err := decode(value)
	return o, errors.Join(err, closer.Close())
}

// Recipients counts them.
func (c *Catalog) Recipients() int { return c.state.Load().Recipients }

// Revision is the directory's revision up to which the catalog has everything;
// 0 before the first snapshot is complete.
func (c *Catalog) Revision() int64 { return c.state.Load().Revision }

// Age is the time since the directory last confirmed that the catalog is
// complete; the longest duration if it never did. It outlives restarts.
func (c *Catalog) Age(now time.Time) time.Duration {
	contact := c.state.Load().Contact
	if contact.IsZero() {
		return math.MaxInt64
	}
	return max(0, now.Sub(contact))
}

// Subscribe calls fn with the current configuration, and again with each new
// one, one call after the other, until the returned function is called. fn must
// not block: the catalog waits for it, and must not call the catalog's Subscribe
// or Close.
func (c *Catalog) Subscribe(fn func(*directory.Configuration)) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next
	c.next++
	c.subscribers[id] = fn
	fn(c.conf.Load())
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, id)
	}
}

func (c *Catalog) read(key []byte) ([]byte, error) {
	value, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	value = append([]byte{}, value...)
	return value, closer.Close()
}

func decode(value []byte) (*directoryv1.Object, error) {
	o := &directoryv1.Object{}
	if err := proto.Unmarshal(value, o); err != nil {
		return nil, fmt.Errorf("catalog: damaged object: %w", err)
	}
	return o, nil
}
