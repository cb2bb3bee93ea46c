package deliver

import (
	"fmt"
	"io"
	"math"
	"slices"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// write takes transactions from the feed until the feed ends, the session
// fails, or the connection has carried its share; then it drains the window.
func (s *session) write() {
	for s.healthy() && !s.spent() {
		if !s.room() {
			break
		}
		d := s.next()
		if d == nil {
			if !s.flush() || !s.rest() {
				break
			}
			continue
		}
		s.taken++
		s.submit(d)
	}
	s.leave()
}

func (s *session) next() *delivery {
	if len(s.first) == 0 {
		if t := s.feed.Next(); t != nil {
			return newDelivery(t)
		}
		return nil
	}
	d := s.first[0]
	s.first = s.first[1:]
	d.carried = false
	return d
}

func (s *session) spent() bool {
	outside := s.peer.set.MaxTransactions
	if s.peer.hop.Kind == mail.HopNode {
		outside = 0
	}
	for _, limit := range [...]int{s.agent.opts.MaxTransactions, outside} {
		if limit > 0 && s.taken >= limit {
			return true
		}
	}
	return s.exhausted()
}

// exhausted says whether the peer declared that it takes no more MAIL (RFC 9422 section 4.1).
func (s *session) exhausted() bool { return s.peer.ext.mailMax > 0 && s.mails >= s.peer.ext.mailMax }

// room waits until the window takes another transaction. A full window is
// waited for until half of it is free, so that writes stay large.
func (s *session) room() bool {
	o := &s.agent.opts
	s.mu.Lock()
	full := len(s.flights) >= o.Window || s.octets >= o.WindowBytes
	s.mu.Unlock()
	if !full {
		return true
	}
	return s.flush() && s.await(func() bool { return len(s.flights) <= o.Window/2 && s.octets <= o.WindowBytes/2 })
}

// leave drains the window and says QUIT.
func (s *session) leave() {
	if !s.flush() || !s.await(func() bool { return len(s.flights) == 0 }) {
		return
	}
	s.mu.Lock()
	gone := s.closing || s.adrift
	s.closing = true
	s.mu.Unlock()
	if !gone && s.send([]byte("QUIT\r\n"), expectation{step: stepQuit}) && s.flush() {
		s.await(func() bool { return len(s.pending) == 0 })
	}
}

// submit sends one delivery, in as many flights as its recipients need, or as this
// connection still takes: the rest goes over another one.
func (s *session) submit(d *delivery) {
	groups := s.prepare(d)
	if len(groups) == 0 {
		s.feed.Done(d.t, d.outcomes)
		return
	}
	d.flights = len(groups)
	for i, g := range groups {
		f := &flight{d: d, targets: g, size: d.plan.content.Size(), parts: 2}
		if s.exhausted() || s.fly(f) != nil {
			s.carryRest(d, len(groups)-i)
			return
		}
		s.mu.Lock()
		s.part(f) // released: the content is not read any more
		s.mu.Unlock()
		s.report()
	}
}

// carryRest leaves the last flights of a delivery to another connection.
func (s *session) carryRest(d *delivery, flights int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.carried = true
	if d.flights -= flights; d.flights == 0 {
		s.carry = append(s.carry, d)
	}
}

// prepare decides the recipients that cannot be sent at all, and groups the rest.
func (s *session) prepare(d *delivery) [][]int {
	now := s.agent.opts.Clock()
	var err error
	if d.plan, err = makePlan(d.t, s.peer, now); err != nil {
		o := unreadable(err)
		d.plan.nobody = &o
	}
	if r := d.plan.recoded; r != nil && d.plan.nobody == nil {
		s.agent.log.Info("message_converted", zap.Stringer("id", d.t.Envelope.ID), zap.String("next_hop", s.peer.hop.Name),
			zap.String("remote", s.peer.remote), zap.Int64("size", r.Size), zap.Bool("dkim_signed", r.Signed))
	}
	send := make([]int, 0, len(d.t.Targets))
	for i := range d.t.Targets {
		if d.decided[i] {
			continue
		}
		o := d.plan.nobody
		if o == nil {
			o = d.plan.check(s.wireAddress(&d.t.Targets[i]))
		}
		if o == nil {
			send = append(send, i)
			continue
		}
		d.decide(i, *o, s.peer.remote, now)
	}
	if len(send) == 0 {
		return nil
	}
	limit := maxRecipients
	if n := s.peer.ext.rcptMax; n > 0 {
		limit = n
	}
	var groups [][]int
	for _, part := range s.byDomains(d.t, send) {
		groups = slices.AppendSeq(groups, slices.Chunk(part, limit))
	}
	return groups
}

// byDomains splits targets so that no part has more domains than the peer declared that it
// takes at a time (RFC 9422 section 4.3); the targets of a domain stay together.
func (s *session) byDomains(t *mail.Transaction, send []int) [][]int {
	most := s.peer.ext.domainMax
	if most == 0 {
		return [][]int{send}
	}
	var parts [][]int
	number := map[string]int{}
	for _, i := range send {
		domain := mail.DomainKey(s.wireAddress(&t.Targets[i]).Domain)
		n, known := number[domain]
		if !known {
			n = len(number)
			number[domain] = n
		}
		if n/most == len(parts) {
			parts = append(parts, nil)
		}
		parts[n/most] = append(parts[n/most], i)
	}
	return parts
}

func unreadable(err error) mail.Outcome {
	return mail.Defer(mail.Status{Class: 4, Subject: 3}, "the stored content cannot be read: "+err.Error())
}

// fly sends one flight. It returns when nothing more of it has to be written;
// the flight is or will be answered then. An error says that the session is
// over in peace and nothing was begun.
func (s *session) fly(f *flight) error {
	rc, err := f.d.plan.content.Open()
	if err != nil {
		s.ground(f, unreadable(err))
		return nil
	}
	defer func() { _ = rc.Close() }()
	s.room()
	if failed, err := s.enter(f); err != nil {
		return err
	} else if failed != nil {
		s.ground(f, *failed)
		return nil
	}
	switch ext := &s.peer.ext; {
	case ext.pipelining && ext.chunking:
		s.flyChunked(f, rc)
	case ext.pipelining:
		s.flyPipelined(f, rc)
	default:
		s.flyStepwise(f, rc)
	}
	return nil
}

// ground answers a flight that was never entered.
func (s *session) ground(f *flight, o mail.Outcome) {
	s.mu.Lock()
	s.settle(f, o)
	s.answer(f)
	s.mu.Unlock()
}

// enter puts the flight into the window, unless the session failed or is over.
func (s *session) enter(f *flight) (failed *mail.Outcome, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed, nil
	case s.closing, s.adrift:
		return nil, errClosed
	}
	s.flights = append(s.flights, f)
	s.octets += f.size
	s.mails++
	return nil, nil
}

// flyChunked writes the whole transaction without waiting. A peer that refuses
// MAIL or all recipients still consumes the chunk and refuses it too (RFC 3030
// section 2).
func (s *session) flyChunked(f *flight, rc io.Reader) {
	b := s.begin(f)
	b = s.opening(b, f)
	b = fmt.Appendf(b, "BDAT %d LAST\r\n", f.size)
	s.step(f, stepEnd, 0, int64(len(b))+f.size)
	// RFC 3030 does not say that a refused chunk ends the transaction. A peer for
	// which it goes on would refuse the next MAIL and take the next recipients
	// under this sender; so each transaction begins with RSET.
	s.mustRset = true
	if s.flushSteps(b) {
		s.copyExact(f, rc)
	}
}

// flyPipelined sends MAIL, RCPT and DATA as one group (RFC 2920 section 3.1),
// which may follow the last message's final dot directly.
func (s *session) flyPipelined(f *flight, rc io.Reader) {
	b := s.begin(f)
	b = s.opening(b, f)
	b = append(b, "DATA\r\n"...)
	s.step(f, stepData, 0, int64(len(b)))
	if !s.flushSteps(b) || !s.flush() || !s.await(func() bool { return f.dataCode != 0 }) {
		return
	}
	s.sendData(f, rc)
}

// flyStepwise waits for the reply to each command.
func (s *session) flyStepwise(f *flight, rc io.Reader) {
	b := s.begin(f)
	b = s.appendMail(b, f)
	s.step(f, stepMail, 0, int64(len(b)))
	if !s.exchange(b) {
		return
	}
	if f.refused {
		s.over(f)
		return
	}
	s.mustRset = true
	for _, t := range f.targets {
		b = s.appendRcpt(s.scratch[:0], f, t)
		s.step(f, stepRcpt, t, int64(len(b)))
		if !s.exchange(b) {
			return
		}
	}
	if f.accepted == 0 {
		s.over(f)
		return
	}
	if f.d.plan.body == mail.BodyBinaryMIME { // BDAT is its only way (RFC 3030 section 3)
		b = fmt.Appendf(s.scratch[:0], "BDAT %d LAST\r\n", f.size)
		s.step(f, stepEnd, 0, int64(len(b))+f.size)
		if s.flushSteps(b) && s.copyExact(f, rc) && s.flush() {
			s.await(func() bool { return f.answered })
		}
		return
	}
	b = append(s.scratch[:0], "DATA\r\n"...)
	s.step(f, stepData, 0, int64(len(b)))
	if s.exchange(b) {
		s.sendData(f, rc)
	}
	if s.flush() {
		s.await(func() bool { return f.answered })
	}
}

// over answers a flight that ends before its end of data. mu is not held.
func (s *session) over(f *flight) {
	s.mu.Lock()
	if s.failed == nil {
		s.land(f)
	}
	s.mu.Unlock()
}

// sendData goes on after the reply to DATA.
func (s *session) sendData(f *flight, rc io.Reader) {
	if f.dataCode != 354 {
		s.mustRset = true // MAIL may have been accepted and is still open
		s.over(f)
		return
	}
	s.mustRset = false // the end of data clears the peer's buffers (RFC 5321 section 4.1.1.4)
	s.expectEnd(f)
	end := ".\r\n"
	// RFC 2920 section 3.1: a 354 without a valid recipient gets only the dot.
	if f.dataWanted {
		d := &dotWriter{w: s.peer.out}
		if !s.copyContent(f, d, rc) {
			return
		}
		end = d.terminator()
	}
	s.endsHere(f, int64(len(end)))
	_, err := s.peer.out.WriteString(end)
	s.wrote(err)
}

// expectEnd enters the reply to the final dot before the content goes out: a host
// may refuse in the middle of it. A positive reply stays a lie until endsHere.
func (s *session) expectEnd(f *flight) {
	s.mu.Lock()
	s.pending = append(s.pending, expectation{f: f, step: stepEnd, end: math.MaxInt64})
	s.mu.Unlock()
}

// endsHere says where the final dot ends, octets from here.
func (s *session) endsHere(f *flight, octets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.pending); n > 0 && s.pending[n-1].f == f {
		s.pending[n-1].end = s.position() + octets
	}
}

// position is the writer's offset in the stream.
func (s *session) position() int64 {
	return s.peer.wire.handed.Load() + int64(s.peer.out.Buffered())
}

// begin starts a command group, with RSET where the peer may hold an open
// transaction. RSET may stand in a pipelined group (RFC 2920 section 3.1).
func (s *session) begin(f *flight) []byte {
	b := s.scratch[:0]
	s.steps = s.steps[:0]
	if !s.mustRset {
		return b
	}
	s.mustRset = false
	b = append(b, "RSET\r\n"...)
	s.step(f, stepReset, 0, int64(len(b)))
	return b
}

// opening writes MAIL and all RCPTs.
func (s *session) opening(b []byte, f *flight) []byte {
	b = s.appendMail(b, f)
	s.step(f, stepMail, 0, int64(len(b)))
	for _, t := range f.targets {
		b = s.appendRcpt(b, f, t)
		s.step(f, stepRcpt, t, int64(len(b)))
	}
	return b
}

// step notes that a reply will come for the command that ends at offset, which
// counts from the start of the group.
func (s *session) step(f *flight, st step, target int, offset int64) {
	s.steps = append(s.steps, expectation{f: f, step: st, target: target, end: s.position() + offset})
}
