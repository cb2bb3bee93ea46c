package recode

import (
	"io"
)

// Form is what a host takes.
type Form uint8

// Forms (RFC 2045 section 2.7 and 2.8).
const (
	SevenBit Form = iota // ASCII in lines of at most 998 octets
	EightBit             // any octet but NUL, in such lines
)

// String is the label of the form.
func (f Form) String() string {
	if f == SevenBit {
		return "7bit"
	}
	return "8bit"
}

// Refusal is why a message cannot be rewritten, in words that go on after "the
// content".
type Refusal struct{ Reason string }

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(reason string) error { return &Refusal{reason} }

// Plan is what is to be done with each entity of one message.
type Plan struct {
	// Size is the length in octets of what Reader gives.
	Size int64
	// Changed says whether anything is done at all.
	Changed bool
	// Signed says that the message has a DKIM signature.
	Signed bool

	form      Form
	decisions []decision
}

// decision is what becomes of one entity: act says how its body is written,
// label its new Content-Transfer-Encoding ("" keeps the header).
type decision struct {
	act     action
	label   string
	untyped bool
}

type action uint8

const (
	keep action = iota
	quote
	encode
	mendQuoted // octets that quoted-printable has no place for are encoded
	mendBase64 // octets that base64 has no place for are dropped (RFC 2045 section 6.8)
)

// Survey reads a content and plans how to bring it into a form. open is called
// twice. An error is a *[Refusal] or one of reading.
func Survey(open func() (io.ReadCloser, error), form Form) (*Plan, error) {
	s := &surveyor{plan: &Plan{form: form}}
	if err := walk(open, s); err != nil {
		return nil, err
	}
	if err := s.passOver(); err != nil { // after the last part
		return nil, err
	}
	p := s.plan
	if !p.Changed {
		return p, nil
	}
	rc, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = rc.Close() }()
	p.Size, err = io.Copy(io.Discard, p.Reader(rc))
	return p, err
}

func walk(open func() (io.ReadCloser, error), h handler) error {
	rc, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	w := newWalker(rc, h)
	for err == nil {
		err = w.step()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// surveyor counts what each leaf is made of.
type surveyor struct {
	plan   *Plan
	now    *entity
	counts counts
}

// counts is the nature of a leaf's body.
type counts struct {
	octets   int64
	escaped  int64 // octets that quoted-printable writes as three
	eightBit bool
	binary   bool // NUL, CR or LF by itself, or a line above 998 octets
	nul      bool
	length   int
}

const maxContentLine = 998

func (c *counts) add(b []byte, end bool) {
	for _, o := range b {
		switch {
		case o >= 0x80:
			c.eightBit = true
			c.escaped++
		case o == 0:
			c.nul, c.binary = true, true
			c.escaped++
		case o == '\r', o == '\n':
			c.binary = true
			c.escaped++
		case o == '=':
			c.escaped++
		}
	}
	c.octets += int64(len(b))
	if c.length += len(b); c.length > maxContentLine {
		c.binary = true
	}
	if end {
		c.length = 0
		c.octets += int64(len(crlf))
	}
}

func (s *surveyor) header(e *entity) error {
	if e.eightBit && s.plan.form == SevenBit {
		return refuse("has header fields that are not ASCII, which cannot be converted")
	}
	s.now, s.counts = e, counts{}
	s.plan.Signed = s.plan.Signed || e.dkim
	d := decision{}
	if e.kind != leaf && !e.sealed && (e.label == "binary" || e.label == "8bit" && s.plan.form == SevenBit) {
		d.label = s.plan.form.String()
	}
	s.add(d)
	return nil
}

func (s *surveyor) add(d decision) {
	s.plan.decisions = append(s.plan.decisions, d)
	s.plan.Changed = s.plan.Changed || d.act != keep || d.label != ""
}

func (s *surveyor) body(b []byte, end bool) error {
	s.counts.add(b, end)
	return nil
}

func (s *surveyor) filler(b []byte, end bool) error {
	s.counts.add(b, end)
	return nil
}

func (s *surveyor) frame([]byte) error { return s.passOver() }

// passOver ends what came before the first part, or after the last: octets that
// do not pass are replaced, since nobody reads them.
func (s *surveyor) passOver() error {
	if !s.fits() {
		if s.now.sealed {
			return refuse(sealedReason)
		}
		s.plan.Changed = true
	}
	s.counts = counts{}
	return nil
}

const sealedReason = "is signed (multipart/signed), and to convert it would break the signature"

// fits says whether what was counted passes as it is.
func (s *surveyor) fits() bool {
	return !s.counts.binary && (s.plan.form == EightBit || !s.counts.eightBit)
}

func (s *surveyor) end(bool) error {
	d, err := s.decide()
	if err != nil {
		return err
	}
	last := len(s.plan.decisions) - 1
	s.plan.decisions = s.plan.decisions[:last]
	s.add(d)
	s.counts = counts{}
	return nil
}

func (s *surveyor) decide() (decision, error) {
	e, c := s.now, &s.counts
	if s.fits() {
		return decision{label: s.relabel()}, nil
	}
	switch {
	case e.sealed:
		return decision{}, refuse(sealedReason)
	case e.opaque:
		return decision{}, refuse("has a part of a type that must not be encoded")
	case e.coding == unknownCoding:
		return decision{}, refuse("has a part whose encoding is not known")
	case e.coding == quotedPrintable:
		return decision{act: mendQuoted}, nil
	case e.coding == base64Coding:
		return decision{act: mendBase64}, nil
	}
	d := decision{act: encode, label: "base64", untyped: e.top && !e.mime && c.eightBit}
	// Base64 makes four of three, and one line end more of 57.
	if e.text && !c.nul && 2*c.escaped <= c.octets*3/8 {
		d.act, d.label = quote, "quoted-printable"
	}
	return d, nil
}

// relabel is the label of a leaf that says more than it is; "" keeps it.
func (s *surveyor) relabel() string {
	e := s.now
	if e.sealed || e.label != "binary" && (e.label != "8bit" || s.plan.form == EightBit) {
		return ""
	}
	if s.counts.eightBit {
		return "8bit"
	}
	return "7bit"
}
