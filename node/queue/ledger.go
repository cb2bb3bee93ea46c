package queue

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// endOf is the line of the spool's ledger for a recipient with that outcome,
// which is not deferred.
func endOf(o mail.Outcome, hop mail.Hop) spool.Line {
	switch {
	case o.Result == mail.Delivered && final(hop):
		return spool.Delivered
	case o.Result == mail.Delivered:
		return spool.Relayed
	case o.Status == mail.StatusExpired || o.Status == mail.StatusDeliverBy:
		return spool.Expired
	}
	return spool.Failed
}

// ends posts what became of recipients; the deferred are still there.
func ends(outcomes []mail.Outcome, hop mail.Hop) []spool.Posting {
	var list []spool.Posting
	for _, o := range outcomes {
		if o.Result != mail.Deferred {
			list = post(list, endOf(o, hop), 1)
		}
	}
	return list
}

func post(list []spool.Posting, line spool.Line, n int) []spool.Posting {
	for i := range list {
		if list[i].Line == line {
			list[i].Recipients += n
			return list
		}
	}
	return append(list, spool.Posting{Line: line, Recipients: n})
}

// planned posts how the targets of a message, and those that failed at once,
// differ from the recipients of its envelope.
func planned(env *mail.Envelope, targets int, failed []Failure) []spool.Posting {
	var list []spool.Posting
	switch more := targets + len(failed) - len(env.Recipients); {
	case more > 0:
		list = post(list, spool.Expanded, more)
	case more < 0:
		list = post(list, spool.Merged, -more)
	}
	for _, f := range failed {
		list = post(list, endOf(f.Outcome, mail.Hop{}), 1)
	}
	return list
}

// Recipients counts those that a stored message has yet, for the spool's ledger:
// of its envelope while it has no plan, else of the plan those that tags stand for.
func Recipients(envelope, plan []byte, tags [][]byte) (int, error) {
	if plan == nil {
		env, err := codec.DecodeEnvelope(envelope)
		if err != nil {
			return 0, err
		}
		return len(env.Recipients), nil
	}
	all := -1
	n := 0
	for _, b := range tags {
		t, err := decodeTag(b, true)
		if err != nil {
			return 0, err
		}
		if t.targets != nil {
			n += len(t.targets)
			continue
		}
		if all < 0 {
			targets, err := codec.DecodePlan(plan)
			if err != nil {
				return 0, fmt.Errorf("recipients: %w", err)
			}
			all = len(targets)
		}
		n += all
	}
	return n, nil
}
