package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A lost block held the newest state of some keys. What is found of them now is older:
// a key that was deleted is there again, one that was set is gone. But almost all is
// said twice, in places far from each other: that a message is in a queue by the
// message and by the queue, that it has a body by both, that it has no plan yet by the
// list of what is submitted. So the side that was not lost is believed, and the other
// made the same:
//
//	what was lost        is believed to be as
//	an entry of a queue  the message's own side of it, and the other way round
//	a submitted          the message has it: submitted if it has no plan
//	a reference          the envelopes that share the body
//	a record of aside    the queues have it: aside is what they do not have
//	an envelope          gone if the message has no entry, is not submitted, and its
//	                     body is gone; else it is there and cannot be read: an empty
//	                     record stands for it
//	a plan               there if there are entries; the message cannot be read then
//	an outcome           as it was before: nobody acts on it
//	a chunk of a body    never written twice: it is there, or cannot be read
//	the spool's own      see lostMeta: the epoch jumps, the ledger begins anew, orders
//	                     are unreadable
//
// Where both sides were lost, what is found is believed, and the message is doubtful:
// it may have been further. It is delivered again rather than lost, and named in the
// record.

// traces are what the keys say of one message.
type traces struct {
	envelope   state
	body       stored
	plan       bool
	outcomes   []uint32
	submitted  bool
	aside      *aside
	pairs      []pair
	references []bodyID
}

// state is what is found of an envelope.
type state byte

const (
	noEnvelope state = iota
	goodEnvelope
	badEnvelope
)

// pair is an entry by its two sides.
type pair struct {
	entryKey
	own, queued, aside bool
	ownHash, queueHash uint64
}

func (m *traces) pair(e entryKey) *pair {
	i := slices.IndexFunc(m.pairs, func(p pair) bool { return p.entryKey == e })
	if i < 0 {
		i = len(m.pairs)
		m.pairs = append(m.pairs, pair{entryKey: e})
	}
	return &m.pairs[i]
}

// reconciler makes the two sides of everything the same.
type reconciler struct {
	s                 *Spool
	lost              []span // sorted, joined
	messages          map[ID]*traces
	open              []bodyID
	files             map[uint64]bodyID // the youngest body of each file
	nameless          bool              // there are messages whose bodies nobody can name
	batch             *pebble.Batch
	ready             []*pebble.Batch
	damaged, doubtful idSet
}

// reconcile tells the truth about what lost blocks held, as far as it is known. It may
// be done again on what it has changed in part.
func (s *Spool) reconcile(h *healing) error {
	r := &reconciler{s: s, lost: join(h.Lost), messages: map[ID]*traces{}, files: map[uint64]bodyID{}, damaged: idSet{}, doubtful: idSet{}}
	if err := r.gather(); err != nil {
		return err
	}
	r.batch = s.db.NewBatch()
	if err := r.meta(h); err != nil {
		return err
	}
	ids := make([]ID, 0, len(r.messages))
	for id := range r.messages {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := r.message(id, r.messages[id]); err != nil {
			return err
		}
		if r.batch.Len() >= healBatch {
			r.ready, r.batch = append(r.ready, r.batch), s.db.NewBatch()
		}
	}
	if err := r.bodies(); err != nil {
		return err
	}
	// The record before the deed: who does it again finds less to doubt.
	h.Damaged, h.Doubtful = r.damaged.names(h.Damaged), r.doubtful.names(h.Doubtful)
	if err := s.writeHealing(h); err != nil {
		return err
	}
	for _, b := range append(r.ready, r.batch) {
		if err := r.write(b); err != nil {
			return err
		}
	}
	if err := r.renew(); err != nil || h.Ledger {
		return err
	}
	return s.squareLedger()
}

// healBatch is how much is gathered for one write, in octets.
const healBatch = 1 << 20

// idSet are some messages.
type idSet map[ID]struct{}

// names lists them, with those of an earlier list.
func (ids idSet) names(earlier []string) []string {
	all := slices.Clone(earlier)
	for id := range ids {
		all = append(all, hex.EncodeToString(id[:]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// join sorts spans and joins those that meet.
func join(spans []span) (out []span) {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int { return bytes.Compare(a.Low, b.Low) })
	for _, s := range spans {
		if n := len(out); n > 0 && bytes.Compare(s.Low, out[n-1].High) <= 0 {
			if bytes.Compare(s.High, out[n-1].High) > 0 {
				out[n-1].High = s.High
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// in says whether a key may have been in a lost block.
func (r *reconciler) in(k []byte) bool {
	_, found := slices.BinarySearchFunc(r.lost, k, func(s span, k []byte) int {
		switch {
		case bytes.Compare(s.High, k) < 0:
			return -1
		case bytes.Compare(s.Low, k) > 0:
			return 1
		}
		return 0
	})
	return found
}

// among says whether any key from low until high may have been.
func (r *reconciler) among(low, high []byte) bool {
	return slices.ContainsFunc(r.lost, func(s span) bool {
		return bytes.Compare(s.Low, high) < 0 && bytes.Compare(s.High, low) >= 0
	})
}

// gather reads all keys but those of bodies.
func (r *reconciler) gather() error {
	for _, tag := range []byte{tagMessage, tagQueue, tagSubmitted, tagAside, tagReference, tagOpenBody} {
		err := r.s.scanRange(r.s.db, []byte{tag}, []byte{tag + 1}, func(k, v []byte) error {
			if err := r.take(tag, k, v); err != nil && !errors.Is(err, ErrCorrupt) {
				return err
			} // keys that are none stay; Check names them
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciler) of(id ID) *traces {
	m := r.messages[id]
	if m == nil {
		m = &traces{}
		r.messages[id] = m
	}
	return m
}

func hashOf(tag []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(tag)
	return h.Sum64()
}

func (r *reconciler) take(tag byte, k, v []byte) error {
	switch tag {
	case tagMessage:
		key, err := parseMessageKey(k)
		if err != nil {
			return err
		}
		r.takeMessage(r.of(key.id), key, v)
	case tagQueue:
		queue, p, err := parseQueueKey(k)
		if err != nil {
			return err
		}
		e := r.of(p.ID).pair(entryKey{queue, p.Due})
		e.queued, e.queueHash = true, hashOf(v)
	case tagSubmitted:
		id, err := parseSubmittedKey(k)
		if err != nil {
			return err
		}
		r.of(id).submitted = true
	case tagAside:
		rec, err := decodeAside(v)
		if err != nil || len(k) != 1+len(ID{}) {
			return errors.Join(err, badKey(k))
		}
		m := r.of(ID(k[1:]))
		m.aside = rec
		for _, e := range rec.entries {
			m.pair(entryKey{e.Queue, e.Due}).aside = true
		}
	case tagReference:
		if len(k) != len(appendReferenceKey(nil, bodyID{}, ID{})) {
			return badKey(k)
		}
		m := r.of(owner(k))
		m.references = append(m.references, bodyID(k[1:]))
	case tagOpenBody:
		b, err := parseOpenBodyKey(k)
		if err != nil {
			return err
		}
		r.open = append(r.open, b)
	}
	return nil
}

func (r *reconciler) takeMessage(m *traces, key messageKey, v []byte) {
	switch key.kind {
	case kindEnvelope:
		m.envelope = goodEnvelope
		var err error
		if m.body, _, err = parseEnvelope(v); err != nil {
			m.envelope = badEnvelope
		} else if young := r.files[m.body.file]; m.body.file != 0 && bytes.Compare(m.body.id[:], young[:]) > 0 {
			r.files[m.body.file] = m.body.id
		}
	case kindPlan:
		m.plan = true
	case kindOutcome:
		m.outcomes = append(m.outcomes, key.target)
	case kindEntry:
		e := m.pair(key.entry)
		e.own, e.ownHash = true, hashOf(v)
	}
}

func (r *reconciler) write(b *pebble.Batch) error {
	if b.Empty() {
		return nil
	}
	if err := r.s.commitSynced(b); err != nil {
		return err
	}
	return r.s.fault(faultHealReconciled)
}

// meta says what of the spool itself was lost.
func (r *reconciler) meta(h *healing) error {
	if h.Control {
		if err := r.batch.Set([]byte(keyControlLost), nil, nil); err != nil {
			return err
		}
	}
	if h.Epoch {
		last, err := r.s.epochBeyond(errors.New("its block was lost"))
		if err != nil {
			return err
		}
		if err := r.batch.Set([]byte(keyEpoch), binary.BigEndian.AppendUint32(nil, last), nil); err != nil {
			return err
		}
	}
	if h.Ledger {
		// As renewLedger does; the next epoch begins it.
		for n := range stripes {
			if err := r.batch.Set(appendLedgerKey(nil, n), nil, nil); err != nil {
				return err
			}
		}
		if err := r.batch.Delete([]byte(keySince), nil); err != nil {
			return err
		}
	}
	// Bodies may belong to nobody now.
	return r.batch.Set(appendReclaimKey(nil, ID{}), nil, nil)
}

// bodies keeps those that have an envelope from being swept: the mark that a body is
// open may be older than its message. Where envelopes are lost, nobody can tell.
func (r *reconciler) bodies() error {
	if !slices.ContainsFunc(r.open, func(b bodyID) bool { return r.in(appendOpenBodyKey(nil, b)) }) {
		return nil
	}
	owned := map[bodyID]struct{}{}
	for _, m := range r.messages {
		if m.envelope == goodEnvelope {
			owned[m.body.id] = struct{}{}
		}
	}
	for _, b := range r.open {
		k := appendOpenBodyKey(nil, b)
		if _, has := owned[b]; (has || r.nameless) && r.in(k) {
			if err := r.batch.Delete(k, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// renew writes all keys of the lost ranges anew, above a deletion of the range: below
// what is found there may be still older states, which would show one day when what is
// above them is deleted once (SingleDelete).
func (r *reconciler) renew() error {
	for _, tag := range []byte{tagMessage, tagOpenBody, tagQueue, tagReference, tagSubmitted, tagAside} {
		for _, l := range r.lost {
			low, high := slices.Clone(l.Low), append(slices.Clone(l.High), 0)
			if bytes.Compare(low, []byte{tag}) < 0 {
				low = []byte{tag}
			}
			if bytes.Compare(high, []byte{tag + 1}) > 0 {
				high = []byte{tag + 1}
			}
			if bytes.Compare(low, high) >= 0 {
				continue
			}
			if err := r.renewRange(low, high); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reconciler) renewRange(low, high []byte) error {
	sets := r.s.db.NewBatch()
	piece := func(until []byte) error {
		b := r.s.db.NewBatch()
		if err := errors.Join(b.DeleteRange(low, until, nil), b.Apply(sets, nil)); err != nil {
			return err
		}
		sets.Reset()
		low = slices.Clone(until)
		return r.write(b)
	}
	err := r.s.scanRange(r.s.db, low, high, func(k, v []byte) error {
		if sets.Len() >= healBatch {
			if err := piece(k); err != nil {
				return err
			}
		}
		return sets.Set(k, v, nil)
	})
	if err != nil {
		return err
	}
	return piece(high)
}
