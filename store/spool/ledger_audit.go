package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// Audit is the ledger held against what is in the spool, both of one instant.
type Audit struct {
	At     time.Time
	Ledger Ledger
	Held   Tally // what is there
	// Unread messages are there, and nobody can count their recipients.
	Unread int64
	// Weighed: the recipients were counted.
	Weighed bool
}

// Off is what is there more (less: below zero) than the ledger says. Recipients
// are not judged while a message cannot be read, nor after one was removed.
func (a Audit) Off() Tally {
	off := a.Held.minus(a.Ledger.Queued())
	if !a.Weighed || a.Unread > 0 || a.Ledger[Unknown].Messages > 0 {
		off.Recipients = 0
	}
	return off
}

// Balanced says whether the ledger is right.
func (a Audit) Balanced() bool {
	return a.Off() == Tally{} && a.Ledger[lineDamaged] == Tally{}
}

// String is the comparison in words.
func (a Audit) String() string {
	q := a.Ledger.Queued()
	text := fmt.Sprintf("%d messages must be in the spool and %d are", q.Messages, a.Held.Messages)
	switch {
	case !a.Weighed:
	case a.Unread > 0:
		text += fmt.Sprintf("; recipients are not compared while %d messages cannot be read", a.Unread)
	case a.Ledger[Unknown].Messages > 0:
		text += fmt.Sprintf("; recipients are not compared since %d messages that could not be read were removed", a.Ledger[Unknown].Messages)
	default:
		text += fmt.Sprintf("; %d recipients must be and %d are", q.Recipients, a.Held.Recipients)
	}
	if n := a.Ledger[lineDamaged].Messages; n > 0 {
		text += fmt.Sprintf("; %d entries of the ledger cannot be read", n)
	}
	return text
}

// Audit counts what is there, without the bodies, and compares. It sees one
// instant and may run beside other calls. Errors: ErrClosed, that of ctx, those
// of reading.
func (s *Spool) Audit(ctx context.Context) (Audit, error) {
	snap, release, ok := s.snapshot()
	if !ok {
		return Audit{}, ErrClosed
	}
	defer release()
	return s.audit(ctx, snap)
}

func (s *Spool) audit(ctx context.Context, r pebble.Reader) (a Audit, err error) {
	a = Audit{At: time.Now(), Ledger: Ledger{}, Weighed: s.recipients != nil}
	if err := s.readLedger(r, a.Ledger); err != nil {
		return a, err
	}
	w := weigher{recipients: s.recipients}
	err = s.scanRange(r, []byte{tagMessage}, []byte{tagMessage + 1}, func(k, v []byte) error {
		m, err := parseMessageKey(k)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			w.key(m, v)
		}
		return err
	})
	w.end()
	a.Held, a.Unread = w.held, w.unread
	return a, err
}

// scanRange calls f for the keys from low until high.
func (s *Spool) scanRange(r pebble.Reader, low, high []byte, f func(k, v []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return s.readError(err)
	}
	for ok := it.First(); ok && err == nil && !s.closed.Load(); ok = it.Next() {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			err = f(it.Key(), v)
		} else {
			err = s.readError(err)
		}
	}
	if e := it.Close(); err == nil && e != nil {
		err = s.readError(e)
	}
	if err == nil && s.closed.Load() {
		err = ErrClosed
	}
	return err
}

// read adds a value of the ledger.
func (l Ledger) read(v []byte) {
	var p postings
	if !p.parse(v) {
		p.add(lineDamaged, Tally{Messages: 1})
	}
	for _, e := range p {
		l[e.line] = l[e.line].plus(e.Tally)
	}
}

// weigher counts messages and their recipients, from keys that come message by
// message.
type weigher struct {
	recipients func(envelope, plan []byte, tags [][]byte) (int, error)
	held       Tally
	unread     int64

	id             ID
	enveloped      bool
	envelope, plan []byte
	tags           [][]byte
}

func (w *weigher) key(k messageKey, v []byte) {
	if k.id != w.id {
		w.end()
		w.id = k.id
	}
	switch k.kind {
	case kindEnvelope:
		w.enveloped = true
		_, envelope, err := parseEnvelope(v)
		if err == nil {
			w.envelope = append([]byte{}, envelope...)
		}
	case kindPlan:
		w.plan = append([]byte{}, v...)
	case kindEntry:
		w.tags = append(w.tags, append([]byte{}, v...))
	}
}

// end closes the message whose keys came last.
func (w *weigher) end() {
	if w.enveloped {
		w.held.Messages++
		if w.recipients != nil {
			n, err := w.recipients(w.envelope, w.plan, w.tags)
			if err != nil || w.envelope == nil || w.plan == nil && len(w.tags) > 0 {
				w.unread++
			} else {
				w.held.Recipients += int64(n)
			}
		}
	}
	w.enveloped, w.envelope, w.plan, w.tags = false, nil, nil, w.tags[:0]
}

// beginLedger adds to the batch that begins an epoch what the ledger needs: its
// opening balance if there is none, and again if a release without a ledger had
// the spool in the meantime. In most starts that is a mark and nothing more.
func (s *Spool) beginLedger(batch *pebble.Batch) error {
	since := time.Now()
	v, err := s.get([]byte(keySince))
	kept := err == nil && len(v) == 12 && binary.BigEndian.Uint32(v) == s.epoch-1
	if kept {
		// Every line must be read at every end of the node, so here is the place to find
		// out that one cannot be.
		err = s.readLedger(s.db, Ledger{})
		kept = !unread(err)
	}
	switch {
	case kept:
		since = time.UnixMilli(int64(binary.BigEndian.Uint64(v[4:])))
	case err != nil && !errors.Is(err, ErrNotFound) && !unread(err):
		return err
	default:
		if err := s.openLedger(batch); err != nil {
			return err
		}
	}
	mark := binary.BigEndian.AppendUint32(nil, s.epoch)
	return batch.Set([]byte(keySince), binary.BigEndian.AppendUint64(mark, uint64(since.UnixMilli())), nil)
}

func (s *Spool) openLedger(batch *pebble.Batch) error {
	a, err := s.audit(context.Background(), s.db)
	if unread(err) {
		a, err = s.renewLedger(batch, err)
	}
	if err != nil {
		return err
	}
	off := a.Held.minus(a.Ledger.Queued())
	if off != (Tally{}) {
		s.log.Info("ledger_opened", zap.Int64("messages", off.Messages), zap.Int64("recipients", off.Recipients), zap.Int64("unread", a.Unread))
	}
	var p postings
	p.add(Opening, off)
	return p.write(batch, ID{})
}

// squareLedger posts what the healing of a table has changed: messages that were in a
// lost block, and messages that came back.
func (s *Spool) squareLedger() error {
	if _, err := s.get([]byte(keySince)); errors.Is(err, ErrNotFound) {
		return nil // there is none yet
	}
	a, err := s.audit(context.Background(), s.db)
	if err != nil {
		return err
	}
	off := a.Off()
	if off == (Tally{}) {
		return nil
	}
	var p postings
	if off.Messages < 0 {
		p.add(Unknown, Tally{}.minus(off))
	} else {
		p.add(Restored, off)
	}
	s.log.Error("ledger_squared", zap.Int64("messages", off.Messages), zap.Int64("recipients", off.Recipients),
		zap.String("cure", "none is needed: below zero, they were lost with a block; above, they came back and may be delivered twice"))
	batch := s.db.NewBatch()
	if err := p.write(batch, ID{}); err != nil {
		return err
	}
	return s.commitSynced(batch)
}

// renewLedger is for a ledger, or messages, that cannot be read: it adds to the batch
// what ends the old one, and counts what can be counted.
func (s *Spool) renewLedger(batch *pebble.Batch, cause error) (Audit, error) {
	s.log.Error("ledger_lost", zap.Error(cause), zap.String("cure", "none is needed: it begins anew with what the spool holds"))
	for n := range stripes {
		// Not deleted: Pebble looks below a deletion for what is deleted.
		if err := batch.Set(appendLedgerKey(nil, n), nil, nil); err != nil {
			return Audit{}, err
		}
	}
	w := weigher{recipients: s.recipients}
	err := s.skim(s.db, func(k messageKey, v []byte) error { w.key(k, v); return nil }, func() {})
	w.end()
	return Audit{Ledger: Ledger{}, Held: w.held, Unread: w.unread}, err
}

// loadLedger brings the ledger into memory.
func (s *Spool) loadLedger() error {
	v, err := s.get([]byte(keySince))
	switch {
	case err == nil && len(v) == 12:
		s.since = time.UnixMilli(int64(binary.BigEndian.Uint64(v[4:])))
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	l := Ledger{}
	if err := s.readLedger(s.db, l); err != nil {
		return err
	}
	for line, t := range l {
		s.book[line].messages.Add(t.Messages)
		s.book[line].recipients.Add(t.Recipients)
	}
	return nil
}

// readLedger adds up the stripes. It reads them one by one: a scan would meet also what
// they were before they were set anew.
func (s *Spool) readLedger(r pebble.Reader, l Ledger) error {
	for n := range stripes {
		v, closer, err := r.Get(appendLedgerKey(nil, n))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return s.readError(err)
		}
		l.read(v)
		if err := s.closeRead(closer); err != nil {
			return err
		}
	}
	return nil
}

// LedgerSince is when the ledger began; zero: there is none.
func (s *Spool) LedgerSince() time.Time { return s.since }

// postRest posts what became of some recipients of a message, and of all others
// that it has yet.
func (c *change) postRest(id ID, m *message, line Line, posts []Posting) error {
	last := max(line, c.posts.recipients(posts))
	if len(posts) == 0 {
		last = line
	}
	if c.spool.recipients == nil {
		c.posts.add(last, Tally{Messages: 1})
		return nil
	}
	st, err := c.spool.loadKnown(id, m)
	n := 0
	if err == nil {
		tags := make([][]byte, len(st.Entries))
		for i, e := range st.Entries {
			tags[i] = e.Tag
		}
		n, err = c.spool.recipients(st.Envelope, st.Plan, tags)
	}
	if err != nil {
		// It goes all the same: what cannot be read is often why it is removed.
		c.posts.add(Unknown, Tally{Messages: 1})
		return nil
	}
	for _, p := range posts {
		if p.Line.In() {
			n += p.Recipients
		} else {
			n -= p.Recipients
		}
	}
	c.posts.add(line, Tally{0, int64(n)})
	c.posts.add(last, Tally{Messages: 1})
	return nil
}
