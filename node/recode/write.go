package recode

import (
	"bytes"
	"errors"
	"io"
)

// Reader gives the content that r has, rewritten. r must give what was surveyed.
func (p *Plan) Reader(r io.Reader) io.Reader {
	if !p.Changed {
		return r
	}
	w := &rewriter{plan: p}
	w.walk = newWalker(r, w)
	return w
}

// errOther is a content that is not the one that was surveyed.
var errOther = errors.New("the content changed while it was being converted")

// rewriter pulls: each Read takes as many lines as it needs.
type rewriter struct {
	plan *Plan
	walk *walker
	out  bytes.Buffer
	err  error
	next int

	now    decision
	quoted quoter
	base   base64Writer
	tame   tamer
}

// Read implements io.Reader.
func (w *rewriter) Read(b []byte) (int, error) {
	for w.out.Len() == 0 && w.err == nil {
		w.out.Reset()
		if w.err = w.walk.step(); w.err == io.EOF && w.next != len(w.plan.decisions) {
			w.err = errOther
		}
	}
	if w.out.Len() > 0 {
		return w.out.Read(b)
	}
	return 0, w.err
}

func (w *rewriter) header(e *entity) error {
	if w.next >= len(w.plan.decisions) {
		return errOther
	}
	w.now = w.plan.decisions[w.next]
	w.next++
	w.quoted, w.base, w.tame = quoter{}, base64Writer{}, tamer{}
	if w.now.label == "" {
		w.out.Write(e.raw)
		return nil
	}
	w.out.Write(e.rewritten(w.now.label, w.now.untyped))
	return nil
}

func (w *rewriter) body(b []byte, end bool) error {
	switch w.now.act {
	case keep:
		w.out.Write(b)
		if end {
			w.out.Write(crlf)
		}
	case quote:
		w.quoted.write(&w.out, b, end)
	case encode:
		w.base.write(&w.out, b)
		if end {
			w.base.write(&w.out, crlf)
		}
	case mendQuoted:
		w.quoted.mend(&w.out, b, end)
	case mendBase64:
		w.base.mend(&w.out, b)
	}
	return nil
}

func (w *rewriter) end(last bool) error {
	switch w.now.act {
	case quote:
		w.quoted.end(&w.out, last)
	case encode:
		w.base.end(&w.out, last)
	case mendBase64:
		w.base.endMended(&w.out, last)
	}
	w.tame = tamer{}
	return nil
}

func (w *rewriter) frame(b []byte) error {
	w.out.Write(b)
	w.tame = tamer{}
	return nil
}

func (w *rewriter) filler(b []byte, end bool) error {
	w.tame.write(&w.out, b, end, w.plan.form)
	return nil
}

// tamer makes what nobody reads fit: octets that do not pass become "?", long
// lines are cut.
type tamer struct{ length int }

func (t *tamer) write(out *bytes.Buffer, b []byte, end bool, form Form) {
	for _, c := range b {
		if t.length == maxContentLine {
			out.Write(crlf)
			t.length = 0
		}
		if c == 0 || c == '\r' || c == '\n' || c >= 0x80 && form == SevenBit {
			c = '?'
		}
		out.WriteByte(c)
		t.length++
	}
	if end {
		out.Write(crlf)
		t.length = 0
	}
}
