package spool

import (
	"bytes"
	"errors"
	"slices"
)

// How a reconciler judges one message. A key is sure if no lost block can have held a
// newer state of it; it is there or it is not. Of others only what is found is known.

// message makes the sides of one message the same.
func (r *reconciler) message(id ID, m *traces) error {
	if m.envelope == badEnvelope {
		r.nameless = true
	}
	if !r.touched(id, m) {
		return nil
	}
	alive, err := r.alive(id, m)
	if err != nil {
		return err
	}
	if !alive {
		return r.bury(id, m)
	}
	if m.envelope == goodEnvelope && r.stale(m.body) && r.in(appendMessageKey(nil, id, kindEnvelope)) {
		// It was finished, or its envelope must not give away what is another's.
		m.envelope = noEnvelope
	}
	if m.envelope == noEnvelope {
		// An empty record is one that cannot be read, for whoever meets it.
		r.nameless = true
		r.damaged[id] = struct{}{}
		if err := r.batch.Set(appendMessageKey(nil, id, kindEnvelope), nil, nil); err != nil {
			return err
		}
	}
	if err := r.stage(id, m); err != nil {
		return err
	}
	return r.reference(id, m)
}

// stale says whether another message, with a younger body, has the file of a body: it was
// written again since.
func (r *reconciler) stale(b stored) bool {
	young := r.files[b.file]
	return b.file != 0 && bytes.Compare(young[:], b.id[:]) > 0
}

// touched says whether anything of the message may have been in a lost block.
func (r *reconciler) touched(id ID, m *traces) bool {
	if r.among(appendMessagePrefix(nil, id), appendMessageKey(nil, id, 0xff)) || r.in(appendSubmittedKey(nil, id)) || r.in(appendAsideKey(nil, id)) {
		return true
	}
	for _, p := range m.pairs {
		if r.in(appendQueueKey(nil, p.queue, p.due, id)) {
			return true
		}
	}
	if m.envelope == goodEnvelope && m.body.shared {
		return r.in(appendReferenceKey(nil, m.body.id, id))
	}
	for _, b := range m.references {
		if r.in(appendReferenceKey(nil, b, id)) {
			return true
		}
	}
	return false
}

// alive says whether the message is there and not finished.
func (r *reconciler) alive(id ID, m *traces) (bool, error) {
	if !r.in(appendMessageKey(nil, id, kindEnvelope)) {
		return m.envelope != noEnvelope, nil
	}
	if r.sureOf(id, m) {
		return true, nil
	}
	if m.envelope == goodEnvelope {
		if sure, there, err := r.bodyThere(id, m); err != nil || sure {
			if there {
				r.doubtful[id] = struct{}{} // it may have been planned, or further
			}
			return there, err
		}
	}
	seen := m.submitted || m.aside != nil
	for _, p := range m.pairs {
		seen = seen || p.own || p.queued
	}
	// A message that was not finished is in a list. If nothing of the lists was lost, it
	// would be found there.
	hidden := r.among([]byte{tagQueue}, []byte{tagQueue + 1}) || r.in(appendSubmittedKey(nil, id)) || r.in(appendAsideKey(nil, id))
	if !hidden || !seen && m.envelope != goodEnvelope {
		return false, nil
	}
	r.doubtful[id] = struct{}{}
	return true, nil
}

// sureOf says whether something that is surely there is so only of a message that is.
func (r *reconciler) sureOf(id ID, m *traces) bool {
	if m.submitted && !r.in(appendSubmittedKey(nil, id)) || m.aside != nil && !r.in(appendAsideKey(nil, id)) ||
		m.plan && !r.in(appendMessageKey(nil, id, kindPlan)) {
		return true
	}
	for _, p := range m.pairs {
		if p.own && !r.in(appendEntryKey(nil, id, p.entryKey)) || p.queued && !r.in(appendQueueKey(nil, p.queue, p.due, id)) {
			return true
		}
	}
	return false
}

// bodyThere asks the body, which goes with its message.
func (r *reconciler) bodyThere(id ID, m *traces) (sure, there bool, err error) {
	key := appendChunkKey(nil, m.body.id, 0)
	switch {
	case m.body.shared:
		key = appendReferenceKey(nil, m.body.id, id)
	case m.body.chunks == 0 || m.body.file != 0: // a file may be another message's by now
		return false, false, nil
	}
	if r.in(key) {
		return false, false, nil
	}
	_, err = r.s.get(key)
	switch {
	case err == nil:
		return true, true, nil
	case errors.Is(err, ErrNotFound):
		return true, false, nil
	case unread(err):
		return false, false, nil
	}
	return false, false, err
}

// bury deletes what came back of a message that was finished.
func (r *reconciler) bury(id ID, m *traces) error {
	drop := r.dropIfLost
	low := appendMessagePrefix(nil, id)
	if r.in(appendMessageKey(nil, id, kindEnvelope)) {
		if err := r.batch.DeleteRange(low, appendMessageKey(nil, id, 0xff), nil); err != nil {
			return err
		}
	} else {
		if err := drop(m.plan, appendMessageKey(nil, id, kindPlan)); err != nil {
			return err
		}
		for _, t := range m.outcomes {
			if err := drop(true, appendOutcomeKey(nil, id, t)); err != nil {
				return err
			}
		}
	}
	err := errors.Join(drop(m.submitted, appendSubmittedKey(nil, id)), drop(m.aside != nil, appendAsideKey(nil, id)))
	for _, p := range m.pairs {
		err = errors.Join(err, drop(p.own, appendEntryKey(nil, id, p.entryKey)), drop(p.queued, appendQueueKey(nil, p.queue, p.due, id)))
	}
	for _, b := range m.references {
		err = errors.Join(err, drop(true, appendReferenceKey(nil, b, id)))
	}
	return err
}

// dropIfLost deletes a key that is found where something was lost. Not by SingleDelete:
// there may be several of it.
func (r *reconciler) dropIfLost(found bool, key []byte) error {
	if !found || !r.in(key) {
		return nil
	}
	return r.batch.Delete(key, nil)
}

// stage settles whether the message is submitted, planned with its entries, or aside.
func (r *reconciler) stage(id ID, m *traces) error {
	submitted, plan := appendSubmittedKey(nil, id), appendMessageKey(nil, id, kindPlan)
	isAside := m.aside != nil && m.aside.submitted
	if m.submitted && !r.in(submitted) || isAside && !r.in(appendAsideKey(nil, id)) {
		// Surely not planned: a plan is never taken back.
		err := r.dropIfLost(m.plan, plan)
		for _, t := range m.outcomes {
			err = errors.Join(err, r.dropIfLost(true, appendOutcomeKey(nil, id, t)))
		}
		for _, p := range m.pairs {
			err = errors.Join(err, r.dropIfLost(p.own, appendEntryKey(nil, id, p.entryKey)), r.dropIfLost(p.queued, appendQueueKey(nil, p.queue, p.due, id)))
		}
		if m.submitted && isAside {
			err = errors.Join(err, r.dropIfLost(true, submitted), r.dropIfLost(!r.in(submitted), appendAsideKey(nil, id)))
		}
		return err
	}
	if r.among(appendMessageKey(nil, id, kindEntry), appendMessageKey(nil, id, kindEntry+1)) && r.among([]byte{tagQueue}, []byte{tagQueue + 1}) {
		r.doubtful[id] = struct{}{} // an entry may be lost from both sides
	}
	entries := 0
	for i := range m.pairs {
		kept, err := r.entry(id, m, &m.pairs[i])
		if err != nil {
			return err
		}
		if kept {
			entries++
		}
	}
	switch {
	case entries > 0:
		if !m.plan {
			r.damaged[id] = struct{}{} // whoever reads it finds that it has none
		}
		return errors.Join(r.dropIfLost(m.submitted, submitted), r.keepAside(id, m))
	case m.plan, slices.ContainsFunc(m.outcomes, func(t uint32) bool { return !r.in(appendOutcomeKey(nil, id, t)) }):
		// It was planned, as only then there are outcomes. In no list, and nobody knows who
		// has it already: an administrator decides.
		r.damaged[id] = struct{}{}
		rec := &aside{submitted: true}
		if m.aside != nil {
			rec.note = m.aside.note
		}
		err := errors.Join(r.batch.Delete(plan, nil), r.batch.Set(appendAsideKey(nil, id), rec.encode(), nil))
		for _, t := range m.outcomes {
			err = errors.Join(err, r.batch.Delete(appendOutcomeKey(nil, id, t), nil))
		}
		if m.submitted {
			err = errors.Join(err, r.batch.Delete(submitted, nil))
		}
		return err
	}
	if r.in(plan) {
		r.doubtful[id] = struct{}{}
	}
	for _, t := range m.outcomes {
		if err := r.batch.Delete(appendOutcomeKey(nil, id, t), nil); err != nil {
			return err
		}
	}
	if m.submitted || isAside {
		return nil
	}
	return r.batch.Set(submitted, nil, nil)
}

// entry makes the two sides of an entry the same, and says whether it is there.
func (r *reconciler) entry(id ID, m *traces, p *pair) (there bool, err error) {
	own, queue := appendEntryKey(nil, id, p.entryKey), appendQueueKey(nil, p.queue, p.due, id)
	ownLost, queueLost, asideLost := r.in(own), r.in(queue), r.in(appendAsideKey(nil, id))
	switch {
	case p.own && p.queued && p.aside && asideLost && !queueLost:
		p.aside = false // it was released
	case p.own && p.queued && p.aside && queueLost:
		p.queued = false
		return true, r.batch.Delete(queue, nil)
	case p.own && (p.queued || p.aside):
	case p.own && !queueLost && !asideLost:
		return !ownLost, r.dropIfLost(true, own)
	case p.own:
		if ownLost {
			r.doubtful[id] = struct{}{}
		}
		p.queued = true
		return true, r.copyTag(queue, own)
	case !ownLost:
		p.aside = p.aside && !asideLost
		return p.aside || p.queued && !queueLost, r.dropIfLost(p.queued, queue)
	default:
		if (!p.queued || queueLost) && (!p.aside || asideLost) {
			r.doubtful[id] = struct{}{}
		}
		if p.queued {
			return true, r.copyTag(own, queue)
		}
		return true, r.batch.Set(own, m.aside.tag(p.entryKey), nil)
	}
	if ownLost && queueLost {
		r.doubtful[id] = struct{}{}
	}
	switch {
	case !p.queued || p.ownHash == p.queueHash:
		return true, nil
	case ownLost && !queueLost:
		return true, r.copyTag(own, queue)
	case queueLost:
		return true, r.copyTag(queue, own)
	}
	return true, nil
}

// copyTag sets one side of an entry as the other is.
func (r *reconciler) copyTag(to, from []byte) error {
	v, err := r.s.get(from)
	if err != nil {
		return err
	}
	return r.batch.Set(to, v, nil)
}

// tag is that of an entry in the record.
func (rec *aside) tag(k entryKey) []byte {
	for _, e := range rec.entries {
		if e.Queue == k.queue && e.Due == k.due {
			return e.Tag
		}
	}
	return nil
}

// keepAside leaves in the record of a message what is aside.
func (r *reconciler) keepAside(id ID, m *traces) error {
	key := appendAsideKey(nil, id)
	if m.aside == nil || !r.in(key) {
		return nil
	}
	rec := &aside{note: m.aside.note}
	for _, e := range m.aside.entries {
		if m.pair(entryKey{e.Queue, e.Due}).aside {
			rec.entries = append(rec.entries, e)
		}
	}
	if len(rec.entries) == 0 {
		return r.batch.Delete(key, nil)
	}
	return r.batch.Set(key, rec.encode(), nil)
}

// reference makes the references of a message those that its envelope asks for.
func (r *reconciler) reference(id ID, m *traces) error {
	if m.envelope != goodEnvelope {
		return nil // nobody can tell
	}
	has := false
	for _, b := range m.references {
		if m.body.shared && b == m.body.id {
			has = true
		} else if err := r.dropIfLost(true, appendReferenceKey(nil, b, id)); err != nil {
			return err
		}
	}
	key := appendReferenceKey(nil, m.body.id, id)
	if !m.body.shared || has || !r.in(key) {
		return nil
	}
	return r.batch.Set(key, nil, nil)
}
