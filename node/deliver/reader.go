package deliver

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
)

// read takes replies off the wire until the session ends. It runs on its own
// goroutine.
func (s *session) read() {
	for over := false; !over; {
		s.midReply = false
		r, err := s.peer.in.read()
		s.mu.Lock()
		over = s.takeAll(r, err)
		some := len(s.ready) > 0
		s.mu.Unlock()
		if over { // nothing would be answered, so the writer's content shall not arrive either
			_ = s.peer.wire.Close()
		}
		if some {
			s.report()
		}
	}
}

// takeAll takes what was read and all that has come with it, before the writer acts on any
// of it: a host that says 421 right after 354 gets no content. It says whether the session
// is over. mu is held.
func (s *session) takeAll(r *reply, err error) (over bool) {
	for {
		if err != nil {
			s.readFailed(err)
			return true
		}
		if bad := s.take(r); bad != nil {
			s.end(*bad)
			s.gone = true
			return true
		}
		if s.gone || s.closing && len(s.pending) == 0 {
			s.gone = true
			s.changed.Broadcast()
			return true
		}
		if !s.peer.in.waiting() {
			s.wake()
			return false
		}
		r, err = s.peer.in.read()
	}
}

// readFailed ends the session, unless it was over anyway: a peer may close an
// idle connection, or ours after QUIT. mu is held.
func (s *session) readFailed(err error) {
	waitingFor := "nothing"
	peace := s.closing || s.finished > 0 && len(s.flights) == 0
	if len(s.pending) > 0 {
		waitingFor = s.pending[0].step.String()
		peace = s.pending[0].step == stepQuit
	}
	if peace && len(s.doubted) == 0 {
		s.retire()
		return
	}
	s.end(lost(err, waitingFor))
}

// take matches a reply with the oldest command that waits for one. It returns
// the outcome for everything in flight if the session cannot go on. mu is held.
func (s *session) take(r *reply) *mail.Outcome {
	if r.code == 421 {
		return s.shutdown(r)
	}
	if len(s.pending) == 0 && s.adrift && r.class() > 3 {
		return nil
	}
	if len(s.pending) == 0 {
		return breach(fmt.Sprintf("a reply (%d) that nothing was sent for", r.code))
	}
	e := &s.pending[0]
	if s.peer.wire.handed.Load() < e.end {
		// Content alone may be refused before all of it was sent.
		if r.class() < 4 || e.step != stepEnd {
			return breach(fmt.Sprintf("%d for %s before it was sent", r.code, e.step))
		}
		// What such a host says to the dot, if anything, is not the answer to the next MAIL. A
		// chunk has a size, after which each host listens again.
		s.adrift = s.adrift || e.f.dataCode == 354
	}
	switch e.step {
	case stepReset:
		if r.class() != 2 {
			return breach("RSET refused: " + r.keep().String())
		}
	case stepMail:
		if bad := s.takeMail(e.f, r); bad != nil {
			return bad
		}
	case stepRcpt:
		if bad := s.takeRcpt(e.f, e.target, r); bad != nil {
			return bad
		}
	case stepData:
		if bad := s.takeData(e.f, r); bad != nil {
			return bad
		}
	case stepEnd:
		more, bad := s.takeEnd(e.f, r)
		if bad != nil || more {
			return bad
		}
	case stepQuit:
		if bad := s.takeQuit(r); bad != nil {
			return bad
		}
	}
	s.shift()
	return nil
}

// shift takes the oldest expectation away. mu is held.
func (s *session) shift() {
	s.pending[0].f = nil
	s.pending = s.pending[1:]
}

func breach(text string) *mail.Outcome {
	o := lost(protocolError(text), "")
	return &o
}

// disbelieve takes back what the host has refused for good of the transaction that it
// got out of step in: those may have been answers to other commands, and a message that
// is tried again costs less than one that is returned for nothing. mu is held.
func (s *session) disbelieve(f *flight) {
	for _, t := range f.targets {
		if o := &f.d.outcomes[t]; f.d.decided[t] && o.Result == mail.Failed && o.Reply != nil {
			f.d.decided[t] = false
		}
	}
}

// shutdown is 421: the service goes away, whatever was asked (RFC 5321 section
// 3.8). From a host that has taken mail on this connection, and now takes no
// further MAIL, it is the peaceful end: it has enough of us for now, but has
// said nothing about the messages. After the 354 it has, though nothing may be expected
// yet: the writer is about to send the content.
func (s *session) shutdown(r *reply) *mail.Outcome {
	o := mail.FromReply(r.keep(), s.peer.remote)
	if r.status.IsZero() {
		o.Status = mail.StatusDropped
	}
	o.Text = "the host closes the connection: " + o.Text
	next := stepQuit
	if len(s.pending) > 0 {
		next = s.pending[0].step
	}
	if len(s.pending) == 0 && len(s.flights) > 0 && s.flights[0].dataCode == 354 {
		next = stepEnd
	}
	if (s.finished > 0 || s.closing) && len(s.doubted) == 0 && (next <= stepMail || next == stepQuit) {
		s.retire()
		return nil
	}
	return &o
}

// confused says whether the reply means that the peer did not see the command for what
// it was. Taken as a verdict, one lost line would bounce the messages behind it. A host
// that gives a status of its own for addresses, mailboxes or policy (RFC 3463 section 3)
// has seen it well, whatever number stands before.
func confused(r *reply) bool {
	return (r.code == 500 || r.code == 502 || r.code == 503) && (r.status.Subject == 0 || r.status.Subject == 5)
}

// hear notes when a host puts mail off for a reason of its own, of which its neighbours
// may know nothing: no room, no service (RFC 3463 section 3.4). A mailbox that is full and
// greylisting are none; without a status neither is anything at RCPT. mu is held.
func (s *session) hear(at step, r *reply) {
	switch {
	case r.class() != 4:
	case !r.status.IsZero():
		s.ails = s.ails || r.status.Subject == 3
	case at != stepRcpt && (r.code == 451 || r.code == 452): // RFC 5321 section 4.2.3
		s.ails = true
	}
}

func (s *session) takeMail(f *flight, r *reply) *mail.Outcome {
	switch {
	case r.class() == 2:
		return nil
	case r.class() == 3 || confused(r):
		return breach(fmt.Sprintf("the answer to MAIL is %s", r.keep()))
	}
	f.refused = true
	s.hear(stepMail, r)
	s.settle(f, mail.FromReply(r.keep(), s.peer.remote))
	return nil
}

func (s *session) takeRcpt(f *flight, target int, r *reply) *mail.Outcome {
	switch {
	case f.refused:
		return nil // whatever it says, there is no transaction
	case r.class() == 2:
		f.accepted++
		return nil
	case r.class() == 3 || confused(r):
		return breach(fmt.Sprintf("the answer to RCPT is %s", r.keep()))
	}
	s.hear(stepRcpt, r)
	o := mail.FromReply(r.keep(), s.peer.remote)
	if r.code == 552 && (r.status.IsZero() || r.status == mail.Status{Class: 5, Subject: 5, Detail: 3}) {
		// RFC 5321 section 4.5.3.1.10: 552 to RCPT means 452, too many recipients.
		o.Result, o.Status = mail.Deferred, mail.Status{Class: 4, Subject: 5, Detail: 3}
	}
	f.d.decide(target, o, s.peer.remote, s.agent.opts.Clock())
	return nil
}

func (s *session) takeData(f *flight, r *reply) *mail.Outcome {
	hopeless := f.refused || f.accepted == 0
	switch {
	case r.code == 354:
	case r.class() < 4, r.code == 503 && !hopeless:
		return breach(fmt.Sprintf("the answer to DATA is %s", r.keep()))
	case !hopeless:
		s.hear(stepData, r)
		s.settle(f, mail.FromReply(r.keep(), s.peer.remote))
	}
	f.dataCode, f.dataWanted = r.code, !hopeless
	return nil
}

// takeEnd takes the answer to the end of the message; with LMTP one for each
// accepted recipient (RFC 2033 section 4.2), so more may have to come.
func (s *session) takeEnd(f *flight, r *reply) (more bool, bad *mail.Outcome) {
	hopeless := f.refused || f.accepted == 0
	switch {
	case r.class() == 3, r.code == 503 && !hopeless:
		return false, breach(fmt.Sprintf("the answer to the end of the message is %s", r.keep()))
	case f.refused && r.class() == 2:
		return false, breach("a message was accepted whose MAIL was refused")
	case hopeless:
	case s.lmtp:
		s.landOne(f, r)
		if f.accepted--; f.accepted > 0 {
			return true, nil
		}
	case len(s.doubted) > 0 || s.misplaced(r):
		s.doubted = append(s.doubted, doubt{f, s.final(f, r)})
		s.pass(f)
		return false, nil
	default:
		s.settle(f, s.final(f, r))
	}
	s.land(f)
	return false, nil
}

// misplaced says whether the answer to a whole message looks like one to RCPT. Where
// transactions are written back to back, a host that answered some command twice has that for
// the answer to content that it may not even have read. Some give that status to messages in
// earnest.
func (s *session) misplaced(r *reply) bool {
	return s.peer.ext.pipelining && s.peer.ext.chunking && r.class() == 2 && r.status.Subject == 1
}

// takeQuit ends doubts: after as many answers as there were commands, that to QUIT is 221 (RFC
// 5321 section 4.2.3). Nothing else does: 421, or the end of the connection, may stand in the
// place of the answer that is missing. Then the mail is sent again, more carefully; see
// [shakyHosts.puzzled]. mu is held.
func (s *session) takeQuit(r *reply) *mail.Outcome {
	if len(s.doubted) == 0 {
		return nil
	}
	if r.code != 221 {
		return breach(fmt.Sprintf("the answer to QUIT is %s, so others were not to what was asked", r.keep()))
	}
	for _, d := range s.doubted {
		s.settle(d.f, d.o)
		s.land(d.f)
	}
	s.doubted = nil
	return nil
}

// landOne decides the first recipient that has no verdict: replies come in the
// order of the RCPTs. mu is held.
func (s *session) landOne(f *flight, r *reply) {
	for _, t := range f.targets {
		if !f.d.decided[t] {
			f.d.decide(t, s.final(f, r), s.peer.remote, s.agent.opts.Clock())
			return
		}
	}
}

// final is the outcome of an end of message.
func (s *session) final(f *flight, r *reply) mail.Outcome {
	s.hear(stepEnd, r)
	o := mail.FromReply(r.keep(), s.peer.remote)
	// RFC 3461 section 5.2.2: a host without DSN will not report, so we say that
	// it was relayed. LMTP hosts are the final delivery.
	// Those of a connector are gateways, which tell us nothing either (section 5.2.4).
	gateway := s.lmtp && s.peer.hop.ConnectorName != ""
	o.Relayed = o.Result == mail.Delivered && (gateway || !s.lmtp && !s.peer.ext.dsn)
	o.Traced = o.Result == mail.Delivered && f.d.plan.traced
	return o
}
