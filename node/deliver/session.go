package deliver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// maxRecipients of one SMTP transaction where the peer declares no limit: what
// every host must take (RFC 5321 section 4.5.3.1.8).
const maxRecipients = 100

// session runs transactions over one dialog. The writer's side is in writer.go,
// the reader's in reader.go; here is what both share.
type session struct {
	agent *Agent
	peer  *peer
	feed  mail.Feed
	lmtp  bool

	// The writer's own.
	scratch  []byte
	steps    []expectation
	taken    int
	mails    int         // MAIL commands
	first    []*delivery // to be sent before the feed is asked
	mustRset bool        // a transaction may be open at the peer

	midReply bool // the reader's own: it has begun to read a reply

	mu       sync.Mutex
	changed  sync.Cond     // the reader made room or brought a reply that the writer waits for
	waiting  func() bool   // what the writer waits for; nil: it does not
	pending  []expectation // replies to come, oldest first
	flights  []*flight     // entered and not answered, oldest first
	octets   int64         // size of the flights
	doubted  []doubt       // answered, if the answers were to them; see takeQuit
	finished int           // deliveries that ended with an answer to each recipient
	failed   *mail.Outcome // why the session is over
	closing  bool          // QUIT was sent, or the peer said 421 with nothing in flight
	ours     bool          // the failure is this node's own, not the peer's
	ails     bool          // the peer has put off mail for a reason of its own
	adrift   bool          // content was refused before its end, and perhaps at its end again
	hurry    bool          // writing is over; what was received already is still read
	gone     bool          // the reader has ended in peace; nothing more will be answered
	carry    []*delivery   // taken, and not begun or not ended
	deadline time.Time     // as set on the connection
	ready    []*delivery   // complete, to be reported outside mu
}

// doubt is a flight with the answer that seems to be its own.
type doubt struct {
	f *flight
	o mail.Outcome
}

// unclear is said of a message before the reason why its doubt stays.
const unclear = "the host may have taken the message, its answer was one to RCPT: "

// errClosed is why a session without a failure takes nothing more.
var errClosed = errors.New("the host has closed the idle connection")

// converse runs the feed over an open dialog, and ends it. first was taken from
// the feed before. What it returns was taken, and the peer had left in peace, or takes no more
// over this connection, before it came to it or to all of it; it wants another connection.
func (a *Agent) converse(ctx context.Context, p *peer, feed mail.Feed, first []*delivery) ([]*delivery, error) {
	s := &session{agent: a, peer: p, feed: feed, first: first, lmtp: p.hop.Kind == mail.HopLMTP}
	s.changed.L = &s.mu
	_ = p.wire.SetDeadline(time.Time{})
	if a.shaky.puzzling(p.at.address, a.opts.Clock()) {
		p.ext.pipelining = false
	}
	p.wire.beforeRead, p.wire.afterWrite = s.awaitReply, s.arm
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		// Ours to decide, so no message is to blame: "no answer", not "dropped".
		s.fail(mail.Defer(mail.StatusNoAnswer, "the connection was given up: "+context.Cause(ctx).Error()))
	})

	var reader sync.WaitGroup
	reader.Go(s.read)
	s.write()
	_ = p.wire.Close()
	reader.Wait()
	if !stop() {
		<-told // it may still be reporting what it decided
	}
	return append(s.carry, s.first...), s.result()
}

// result is what Serve returns: a failure that met mail, or that came before
// anything worked, is the hop's; a peer that leaves an idle connection is not.
func (s *session) result() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.peer.at.address
	hop := s.peer.hop.Name
	if s.failed == nil {
		s.agent.shaky.worked(at)
		switch {
		case s.ails:
			s.agent.shaky.troubled(hop, at, s.agent.opts.Clock())
		case s.finished > 0:
			s.agent.shaky.eased(hop, at)
		}
		return nil
	}
	o := *s.failed
	o.Remote, o.At = s.peer.remote, s.agent.opts.Clock()
	s.agent.log.Info("connection_lost", zap.String("next_hop", s.peer.hop.Name), zap.String("remote", o.Remote),
		zap.Int("transactions", s.taken), zap.Int("finished", s.finished), zap.String("reason", o.Text))
	if s.ours {
		return nil
	}
	if s.finished == 0 {
		s.agent.shaky.failed(at, o.At)
	}
	if s.finished == 0 || s.ails {
		s.agent.shaky.troubled(hop, at, o.At)
	}
	return refuse(o)
}

// fail ends the session: everything in flight and undecided gets the outcome.
func (s *session) fail(o mail.Outcome) {
	s.mu.Lock()
	first := s.end(o)
	s.mu.Unlock()
	if first {
		_ = s.peer.wire.Close()
		s.report()
	}
}

// end is the part of fail under mu; the caller closes the wire and reports. Only the first
// failure counts.
func (s *session) end(o mail.Outcome) (first bool) {
	if s.failed != nil {
		return false
	}
	s.failed = &o
	if o.Status == outOfStep && o.Reply == nil && len(s.flights) > 0 {
		s.disbelieve(s.flights[0])
	}
	if len(s.doubted) > 0 {
		s.agent.shaky.puzzled(s.peer.at.address, s.agent.opts.Clock())
	}
	for _, d := range s.doubted {
		s.disbelieve(d.f)
		told := o
		told.Text = unclear + o.Text
		s.settle(d.f, told)
		s.answer(d.f)
	}
	for _, f := range s.flights {
		s.settle(f, o)
		s.answer(f)
	}
	s.flights, s.pending, s.octets, s.doubted = nil, nil, 0, nil
	s.changed.Broadcast()
	return true
}

// settle decides all of a flight's recipients that are not decided. mu is held.
func (s *session) settle(f *flight, o mail.Outcome) {
	now := s.agent.opts.Clock()
	for _, t := range f.targets {
		f.d.decide(t, o, s.peer.remote, now)
	}
}

// answer marks a flight as answered, once. mu is held.
func (s *session) answer(f *flight) {
	if !f.answered {
		f.answered = true
		s.part(f)
	}
}

// part ends one of the two parts of a flight. mu is held.
func (s *session) part(f *flight) {
	if f.parts--; f.parts > 0 {
		return
	}
	if f.d.flights--; f.d.flights > 0 {
		return
	}
	if f.d.carried {
		s.carry = append(s.carry, f.d)
		return
	}
	s.ready = append(s.ready, f.d)
}

// report hands complete deliveries back. mu is not held: the feed may do what it likes.
func (s *session) report() {
	s.mu.Lock()
	ready := s.ready
	s.ready = nil
	s.mu.Unlock()
	for _, d := range ready {
		s.feed.Done(d.t, d.outcomes)
	}
}

// land takes an answered flight, always the oldest, out of the window. mu is held.
func (s *session) land(f *flight) {
	s.pass(f)
	s.answer(f)
	s.finished++
}

func (s *session) pass(f *flight) {
	if len(s.flights) > 0 && s.flights[0] == f {
		s.flights[0] = nil
		s.flights = s.flights[1:]
		s.octets -= f.size
	}
}

// wake tells the writer when what it waits for has come. mu is held.
func (s *session) wake() {
	if s.waiting != nil && s.waiting() {
		s.changed.Signal()
	}
}

// retire ends the session in peace: the peer takes no more, and has not looked
// at what is still in flight, which goes over another connection. mu is held.
func (s *session) retire() {
	for _, f := range s.flights {
		f.d.carried = true
		s.answer(f)
	}
	s.flights, s.pending, s.octets = nil, nil, 0
	s.closing, s.gone = true, true
	s.changed.Broadcast()
}

// await blocks the writer until ok, asked under mu, or until nothing can come any more. Then
// it is false whatever ok says: to a peer that has left nothing more is sent.
func (s *session) await(ok func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = ok
	for s.failed == nil && !s.gone && !ok() {
		s.changed.Wait()
	}
	s.waiting = nil
	return s.failed == nil && !s.gone && ok()
}

func (s *session) healthy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed == nil && !s.closing && !s.adrift && len(s.doubted) == 0
}

// expects says whether answers are to come.
func (s *session) expects() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights) > 0
}

// awaitReply arms once for each reply: a peer that says it octet by octet has no more
// time for it than others.
func (s *session) awaitReply() {
	if !s.midReply {
		s.midReply = true
		s.arm()
	}
}

// arm keeps the deadline for the oldest reply to come. It is asked before the first
// read of each and after each write, so that a long message on its way counts as a
// sign of life. It is up to an eighth late, never early, which spares small corrections:
// setting a timer costs more.
func (s *session) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hurry {
		return
	}
	if len(s.pending) == 0 {
		if !s.deadline.IsZero() {
			s.deadline = time.Time{}
			_ = s.peer.wire.SetReadDeadline(s.deadline)
		}
		return
	}
	limit := s.peer.limits.of(s.pending[0].step)
	if len(s.doubted) > 0 {
		limit = max(limit, s.peer.limits.Mail) // mail depends on the answer to QUIT
	}
	at := time.Now().Add(limit)
	if late := s.deadline.Sub(at); late < 0 || late > limit/8 {
		s.deadline = at.Add(limit / 8)
		_ = s.peer.wire.SetReadDeadline(s.deadline)
	}
}
