package pipeline

import (
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// foresee answers vserver.Deps.Foresee: it goes the way that the queues will go, with
// the directory and the table of now, and says how that ends if it ends badly
// whatever the message says of its priority.
func (p *Pipeline) foresee(from, to mail.Address, size int64) *mail.Outcome {
	r, err := p.category.Foresee(from, to)
	if err != nil {
		p.cfg.Logger.Debug("recipient_not_foreseen", zap.Stringer("recipient", to), zap.Error(err))
		return nil // later it can be told
	}
	if len(r.Targets) == 0 {
		if len(r.Failed) == 0 {
			return nil
		}
		return &r.Failed[0].Outcome
	}
	t := r.Targets[0]
	if r.Shared || t.Destination.Place == mail.PlaceLocal {
		if o := p.tooLarge(r.Shared, t, size); o != nil || r.Shared {
			return o
		}
		return p.full(t, mail.Class{Sender: r.Sender}, size)
	}
	class := mail.Class{Sender: r.Sender}
	if size > 0 {
		class.Size = mail.SizeBound(size, p.routes.SizeLimits())
	}
	var hop mail.Hop
	for _, class.Priority = range []mail.Priority{mail.PriorityNormal, mail.PriorityHigh, mail.PriorityLow} {
		if hop = p.routes.Hop(t.Destination, class, nil); hop.Kind != mail.HopFail {
			return nil
		}
	}
	o := mail.Fail(hop.Status, hop.Reason)
	return &o
}

// tooLarge compares the declared size with the whole quota of the one mailbox.
func (p *Pipeline) tooLarge(group bool, t mail.Target, size int64) *mail.Outcome {
	if q := p.quota(t).Size; !group && q > 0 && size > q {
		o := mail.Fail(mail.StatusTooLarge, "the message is larger than the whole mailbox may be")
		return &o
	}
	return nil
}

// full asks the mailbox, where this node keeps it.
func (p *Pipeline) full(t mail.Target, class mail.Class, size int64) *mail.Outcome {
	if p.routes.Hop(t.Destination, class, nil).Kind != mail.HopLocal {
		return nil // the store behind LMTP has a quota of its own
	}
	return p.agent.Full(&t, size)
}
