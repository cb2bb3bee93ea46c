package queue

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// Waiting gives the envelope of a stored message and the recipients that are
// not settled yet: of a planned message the resolved ones, else those of the
// envelope. It is for those who look at a spool without its node.
func Waiting(st spool.Stored) (*mail.Envelope, []mail.Recipient, error) {
	if st.Plan == nil {
		env, err := codec.DecodeEnvelope(st.Envelope)
		if err != nil {
			return nil, nil, err
		}
		return env, env.Recipients, nil
	}
	m, err := decodeMessage(st)
	if err != nil {
		return nil, nil, err
	}
	open := make([]bool, len(m.targets))
	for _, e := range st.Entries {
		t, err := decodeTag(e.Tag, true)
		if err != nil {
			return nil, nil, err
		}
		if t.targets == nil {
			for i := range open {
				open[i] = true
			}
		}
		for _, i := range t.targets {
			if i >= len(open) {
				return nil, nil, fmt.Errorf("plan: %w: an entry stands for target %d of %d", codec.ErrCorrupt, i, len(open))
			}
			open[i] = true
		}
	}
	var to []mail.Recipient
	for i, t := range m.targets {
		if open[i] {
			to = append(to, recipientOf(m.env, t))
		}
	}
	return m.env, to, nil
}

func recipientOf(env *mail.Envelope, t mail.Target) mail.Recipient {
	r := mail.Recipient{Address: t.Address, Original: t.Original, Notify: t.Notify}
	if t.Foreign != "" {
		r.Address = env.Recipients[t.Recipient].Address // the directory finds the foreign address again
	}
	return r
}
