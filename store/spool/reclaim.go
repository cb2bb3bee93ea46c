package spool

import (
	"bytes"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// A body is named by its envelopes only. Where one was lost, its body stays until
// every envelope that is left can be read: then those that no envelope names belong to
// nobody. A mark for each message that was removed so says that there may be such.

func appendReclaimKey(k []byte, id ID) []byte { return append(append(k, keyReclaim...), id[:]...) }

// reclaims lets one look for bodies of nobody at a time. Each that is asked for is
// served by a look that begins later.
type reclaims struct {
	mu             sync.Mutex
	asked, running bool
}

// begin says whether the caller is to look.
func (r *reclaims) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = true
	was := r.running
	r.running = true
	return !was
}

// more says whether the one who looks is to begin (again).
func (r *reclaims) more() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.asked = r.asked, false
	return r.running
}

// reclaimInBackground deletes bodies of nobody.
func (s *Spool) reclaimInBackground() {
	if s.readOnly || !s.reclaims.begin() {
		return
	}
	if !s.pins.TryRLock() {
		return // it is being closed
	}
	go func() {
		defer s.pins.RUnlock()
		for s.reclaims.more() {
			s.reclaimOnce()
		}
	}()
}

func (s *Spool) reclaimOnce() {
	snap, release, ok := s.snapshot()
	if !ok {
		return
	}
	defer release()
	r := reclaimer{s: s, r: snap, owned: map[bodyID]struct{}{}, ids: map[ID]struct{}{}}
	switch err := r.run(); {
	case err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrFailed):
	case unread(err):
		s.log.Info("spool_bodies_not_reclaimed", zap.NamedError("while", err))
	default:
		s.log.Error("spool_reclaim_failed", zap.Error(err))
	}
}

// reclaimer finds bodies of nobody, in one instant of the store.
type reclaimer struct {
	s     *Spool
	r     pebble.Reader
	owned map[bodyID]struct{}
	ids   map[ID]struct{} // messages with an envelope
	batch *pebble.Batch
	count int
}

func (r *reclaimer) run() error {
	var marks [][]byte
	err := r.s.scanRange(r.r, []byte(keyReclaim), append([]byte(keyReclaim), 0xff), func(k, _ []byte) error {
		marks = append(marks, bytes.Clone(k))
		return nil
	})
	if err != nil || len(marks) == 0 {
		return err
	}
	// The first that cannot be read ends it: its body has no name.
	err = r.s.scanRange(r.r, []byte{tagMessage}, []byte{tagMessage + 1}, func(k, v []byte) error {
		key, err := parseMessageKey(k)
		if err != nil || key.kind != kindEnvelope {
			return err
		}
		body, _, err := parseEnvelope(v)
		r.owned[body.id], r.ids[key.id] = struct{}{}, struct{}{}
		return err
	})
	if err != nil {
		return err
	}
	// Nor is anything known of those that are still streaming in.
	err = r.s.scanRange(r.r, []byte{tagOpenBody}, []byte{tagOpenBody + 1}, func(k, _ []byte) error {
		b, err := parseOpenBodyKey(k)
		r.owned[b] = struct{}{}
		return err
	})
	if err != nil {
		return err
	}
	r.batch = r.s.db.NewBatch()
	if err := errors.Join(r.references(), r.bodies()); err != nil {
		return err
	}
	for _, k := range marks { // those that came meanwhile stay
		if err := r.batch.Delete(k, nil); err != nil {
			return err
		}
	}
	if err := r.s.commitSynced(r.batch); err != nil {
		return err
	}
	r.s.log.Info("spool_bodies_reclaimed", zap.Int("bodies", r.count))
	return nil
}

// references deletes those of messages that are not there.
func (r *reclaimer) references() error {
	return r.s.scanRange(r.r, []byte{tagReference}, []byte{tagReference + 1}, func(k, _ []byte) error {
		if _, there := r.ids[owner(k)]; there {
			return nil
		}
		return r.batch.Delete(k, nil)
	})
}

func (r *reclaimer) bodies() error {
	it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: []byte{tagBody}, UpperBound: []byte{tagBody + 1}})
	if err != nil {
		return r.s.readError(err)
	}
	for ok := it.First(); ok && err == nil; {
		if err = r.s.usable(); err != nil {
			break
		}
		if _, err = parseChunkKey(it.Key()); err != nil {
			break
		}
		b := bodyID(it.Key()[1:])
		behind := append(appendChunkKey(nil, b, ^uint32(0)), 0)
		if _, owned := r.owned[b]; !owned {
			r.count++
			if err = r.batch.DeleteRange(appendChunkKey(nil, b, 0), behind, nil); err != nil {
				break
			}
		}
		ok = it.SeekGE(behind)
	}
	if e := it.Close(); err == nil && e != nil {
		err = r.s.readError(e)
	}
	return err
}
