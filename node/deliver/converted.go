package deliver

import (
	"errors"
	"io"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/recode"
)

// converted is a content in the form that a host takes.
type converted struct {
	mail.Content
	plan *recode.Plan
}

// Open implements mail.Content.
func (c converted) Open() (io.ReadCloser, error) {
	rc, err := c.Content.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{c.plan.Reader(rc), rc}, nil
}

// Size implements mail.Content.
func (c converted) Size() int64 { return c.plan.Size }

// convert brings the content into a form that the peer takes (RFC 6152 section
// 3, RFC 3030 section 3), or refuses the transaction. It returns an error only
// when the content cannot be read.
func (p *plan) convert(form recode.Form) error {
	r, err := recode.Survey(p.content.Open, form)
	var no *recode.Refusal
	switch {
	case errors.As(err, &no):
		p.refuse(statusConversion, "the next host takes "+form.String()+" content only, and the content "+no.Reason)
		return nil
	case err != nil:
		return err
	}
	if r.Changed {
		p.content, p.recoded = converted{p.content, r}, r
	}
	return nil
}
