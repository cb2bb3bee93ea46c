package categorize

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
)

// Explanation is how one address is resolved, for `route explain`.
type Explanation struct {
	// Lines are the steps in words, in order: "alice@example.test is mailbox
	// alice on server paris-1".
	Lines   []string
	Targets []mail.Target
	Failed  []Failure
}

// Explain resolves one address as Resolve would, and says why. The address may
// be of any type, "X400:c=us;...". The error is Resolve's, or says that the
// address cannot be read.
func (c *Categorizer) Explain(address string) (Explanation, error) {
	env := &mail.Envelope{Recipients: []mail.Recipient{{}}}
	var x Explanation
	r := newRun(c, env)
	r.say = func(format string, args ...any) { x.Lines = append(x.Lines, fmt.Sprintf(format, args...)) }
	if err := r.explained(address); err != nil {
		return Explanation{}, err
	}
	x.Targets, x.Failed = r.Targets, r.Failed
	return x, nil
}

func (r *run) explained(address string) error {
	if typ, _ := mail.AddressType(address); typ != "SMTP" {
		return r.typed(address)
	}
	a, err := mail.ParseAddress(trimType(address))
	if err != nil {
		return err
	}
	r.env.Recipients[0].Address = a
	return r.recipient(0)
}

// typed resolves an address of another type than SMTP, which no RCPT holds but
// a recipient may have.
func (r *run) typed(address string) error {
	o, found, err := r.c.dir.Lookup(lower(address))
	if err != nil {
		return err
	}
	if found {
		_, err = r.object(o, primary(o))
		return err
	}
	_, err = r.redirect(address, address, mail.Address{})
	return err
}
