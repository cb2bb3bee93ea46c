package queue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// fakeStore is the spool in memory, strict about the order of calls.
type fakeStore struct {
	notes map[spool.ID][]byte // of what was set aside
	mu    sync.Mutex
	msgs  map[spool.ID]*fakeMessage
	// fail, if set, is asked before each call.
	fail    func(call string) error
	settles int
	control []byte
}

type fakeMessage struct {
	envelope, plan []byte
	entries        map[string]spool.Entry // by queue
	aside          []spool.Entry
	outcomes       []spool.OutcomeRecord
}

// recipients is what the spool's ledger counts.
func (m *fakeMessage) recipients() int {
	var tags [][]byte
	for _, e := range m.entries {
		tags = append(tags, e.Tag)
	}
	n, err := Recipients(m.envelope, m.plan, tags)
	if err != nil {
		return 0 // of a message that a test made unreadable
	}
	return n
}

// accounted panics unless the postings explain the change of a message's recipients.
func accounted(call string, before, after int, posts []spool.Posting) {
	for _, p := range posts {
		if p.Line.In() {
			before += p.Recipients
		} else {
			before -= p.Recipients
		}
	}
	if before != after {
		panic(fmt.Sprintf("%s: the ledger is off by %d recipients: %+v", call, after-before, posts))
	}
}

func newFakeStore() *fakeStore { return &fakeStore{msgs: map[spool.ID]*fakeMessage{}} }

func (s *fakeStore) check(call string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(call)
}

func (s *fakeStore) accept(env *mail.Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs[spool.ID(env.ID)] = &fakeMessage{envelope: codec.EncodeEnvelope(env)}
}

func (s *fakeStore) reports(list []spool.Incoming) {
	for _, in := range list {
		s.msgs[in.ID] = &fakeMessage{envelope: in.Envelope}
	}
}

func (s *fakeStore) Plan(id spool.ID, plan []byte, entries []spool.Entry, posts []spool.Posting, reports ...spool.Incoming) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("plan"); err != nil {
		return err
	}
	m := s.msgs[id]
	switch {
	case m == nil:
		return spool.ErrNotFound
	case m.plan != nil || len(entries) == 0:
		return spool.ErrInvalid
	}
	before := m.recipients()
	m.plan, m.entries = plan, map[string]spool.Entry{}
	for _, e := range entries {
		m.entries[e.Queue] = e
	}
	accounted("plan", before, m.recipients(), posts)
	s.reports(reports)
	return nil
}

func (s *fakeStore) Settle(list ...spool.Settlement) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("settle"); err != nil {
		return nil, err
	}
	s.settles++
	finished := make([]bool, len(list))
	for i, st := range list {
		m := s.msgs[st.ID]
		if m == nil {
			finished[i] = true
			continue
		}
		if e, ok := m.entries[st.Queue]; !ok || e.Due != st.Due {
			continue
		}
		before := m.recipients()
		delete(m.entries, st.Queue)
		m.outcomes = append(m.outcomes, st.Outcomes...)
		if st.Requeue != nil {
			m.entries[st.Requeue.Queue] = *st.Requeue
		}
		for _, e := range st.Also {
			m.entries[e.Queue] = e
		}
		accounted("settlement", before, m.recipients(), st.Ends)
		s.reports(st.Reports)
		if len(m.entries) == 0 {
			delete(s.msgs, st.ID)
			finished[i] = true
		}
	}
	return finished, nil
}

func (s *fakeStore) Remove(id spool.ID, reports ...spool.Incoming) error {
	return s.End(id, spool.Deleted, nil, reports...)
}

func (s *fakeStore) End(id spool.ID, _ spool.Line, posts []spool.Posting, reports ...spool.Incoming) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.msgs[id] == nil {
		return spool.ErrNotFound
	}
	if len(posts) > 0 {
		accounted("end", s.msgs[id].recipients(), 0, posts)
	}
	delete(s.msgs, id)
	s.reports(reports)
	return nil
}

func (s *fakeStore) Load(id spool.ID) (spool.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("load"); err != nil {
		return spool.Stored{}, err
	}
	m := s.msgs[id]
	if m == nil {
		return spool.Stored{}, spool.ErrNotFound
	}
	st := spool.Stored{Envelope: m.envelope, Plan: m.plan, Outcomes: slices.Clone(m.outcomes), BodySize: m.size()}
	for _, e := range m.entries {
		st.Entries = append(st.Entries, e)
	}
	slices.SortFunc(st.Entries, func(a, b spool.Entry) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Queue, b.Queue)) })
	return st, nil
}

func (s *fakeStore) SetControl(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("control"); err != nil {
		return err
	}
	s.control = b
	return nil
}

func (s *fakeStore) Control() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.control, nil
}

func (s *fakeStore) SetAside(id spool.ID, note []byte, entries ...spool.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes == nil {
		s.notes = map[spool.ID][]byte{}
	}
	s.notes[id] = note
	if err := s.check("set aside"); err != nil {
		return err
	}
	if m := s.msgs[id]; m != nil {
		for _, e := range entries {
			delete(m.entries, e.Queue)
			m.aside = append(m.aside, e)
		}
	}
	return nil
}

func (s *fakeStore) Release(id spool.ID) ([]spool.Entry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.msgs[id]
	if m == nil || s.notes[id] == nil {
		return nil, false, spool.ErrNotFound
	}
	delete(s.notes, id)
	entries := m.aside
	for _, e := range entries {
		m.entries[e.Queue] = e
	}
	m.aside = nil
	return entries, m.plan == nil, nil
}

func (s *fakeStore) Aside() []spool.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.notes))
}

func (s *fakeStore) SetAsideNote(id spool.ID, note []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.notes[id]; !ok {
		return spool.ErrNotFound
	}
	s.notes[id] = note
	return nil
}

func (s *fakeStore) Healed() time.Time { return time.Time{} }

func (s *fakeStore) AsideNote(id spool.ID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes[id], nil
}

func (s *fakeStore) OpenBody(spool.ID) (*spool.BodyReader, error) { return nil, spool.ErrNotFound }

func (s *fakeStore) Submitted(after spool.ID, limit int) ([]spool.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []spool.ID
	for id, m := range s.msgs {
		if m.plan == nil && s.notes[id] == nil && bytes.Compare(id[:], after[:]) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b spool.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids[:min(limit, len(ids))], nil
}

func (s *fakeStore) Queues() ([]spool.QueueHead, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	var out []spool.QueueHead
	for _, m := range s.msgs {
		for q, e := range m.entries {
			if !seen[q] {
				seen[q] = true
				out = append(out, spool.QueueHead{Queue: q, Due: e.Due})
			}
		}
	}
	slices.SortFunc(out, func(a, b spool.QueueHead) int { return strings.Compare(a.Queue, b.Queue) })
	return out, nil
}

func (s *fakeStore) Entries(queue string, after spool.Position, limit int) ([]spool.QueueEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("entries"); err != nil {
		return nil, err
	}
	var out []spool.QueueEntry
	from := Position{after.Due, mail.ID(after.ID)}
	for id, m := range s.msgs {
		if e, ok := m.entries[queue]; ok && (Position{e.Due, mail.ID(id)}).compare(from) > 0 {
			out = append(out, spool.QueueEntry{ID: id, Due: e.Due, Tag: e.Tag})
		}
	}
	slices.SortFunc(out, func(a, b spool.QueueEntry) int {
		return Position{a.Due, mail.ID(a.ID)}.compare(Position{b.Due, mail.ID(b.ID)})
	})
	return out[:min(limit, len(out))], nil
}

func (s *fakeStore) Weigh(queue string) (w spool.Weight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.msgs {
		if _, ok := m.entries[queue]; ok {
			w.Entries++
			w.Bytes += m.size()
		}
	}
	return w
}

func (m *fakeMessage) size() int64 {
	env, err := codec.DecodeEnvelope(m.envelope)
	if err != nil {
		return 0
	}
	return env.Size
}

func (s *fakeStore) Walk(from spool.ID, f func(spool.ID, *spool.Stored) (bool, error)) error {
	s.mu.Lock()
	err := s.check("walk")
	ids := slices.SortedFunc(maps.Keys(s.msgs), func(a, b spool.ID) int { return bytes.Compare(a[:], b[:]) })
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if bytes.Compare(id[:], from[:]) < 0 {
			continue
		}
		st, err := s.Load(id)
		if errors.Is(err, spool.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if more, err := f(id, &st); err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *fakeStore) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.msgs)
}
