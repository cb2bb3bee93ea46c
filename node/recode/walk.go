package recode

import (
	"bufio"
	"bytes"
	"io"
)

// Bounds: no sound message comes near them, and a hostile one gets no further.
const (
	maxHeader   = 1 << 20 // octets of one entity's header
	maxDepth    = 100     // nested multiparts
	maxEntities = 100_000
)

// handler gets the pieces of a message in order. Written out as they come they
// are the message.
type handler interface {
	// header is an entity's header, fields and the blank line if there is one.
	header(e *entity) error
	// body is content of the last entity, if it is a leaf; crlf says that a line
	// ends after b. The CRLF before a delimiter is no part of it.
	body(b []byte, crlf bool) error
	// end ends a leaf's body; last says that the message ends here.
	end(last bool) error
	// frame is a delimiter line, with the CRLF before it.
	frame(b []byte) error
	// filler is what readers pass over: before the first part, and after the last.
	filler(b []byte, crlf bool) error
}

type state uint8

const (
	inHeader state = iota
	inBody
	inFiller
)

// walker finds the structure of a message.
type walker struct {
	in    lines
	h     handler
	state state
	cut   bool // the last line was a piece
	// pending: the last line's CRLF waits to be known for content or for a part
	// of the delimiter that follows (RFC 2046 section 5.1.1).
	pending bool
	stack   []level
	now     *entity
	raw     []byte // header so far
	count   int
	message bool // the next header begins a message
}

// level is a multipart that is open.
type level struct {
	boundary string
	sealed   bool // a signature covers what is inside
}

func newWalker(r io.Reader, h handler) *walker {
	return &walker{in: lines{bufio.NewReaderSize(r, maxLine)}, h: h, message: true}
}

// step takes one line. It returns io.EOF after the last.
func (w *walker) step() error {
	l, err := w.in.next(w.cut)
	if err == io.EOF {
		if err := w.finish(); err != nil {
			return err
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	w.cut = !l.crlf
	if l.start {
		if i, closing := w.delimiter(l.b); i >= 0 {
			return w.delimited(l, i, closing)
		}
	}
	if w.state == inHeader {
		return w.headerLine(l)
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.pending = l.crlf
	return w.content(l.b, false)
}

// flush gives the line end that turned out to be content.
func (w *walker) flush() error {
	if !w.pending {
		return nil
	}
	w.pending = false
	return w.content(nil, true)
}

func (w *walker) content(b []byte, end bool) error {
	if w.state == inFiller {
		return w.h.filler(b, end)
	}
	return w.h.body(b, end)
}

// delimiter finds the multipart that a line delimits, the innermost first; -1
// is none.
func (w *walker) delimiter(b []byte) (index int, closing bool) {
	if !bytes.HasPrefix(b, []byte("--")) {
		return -1, false
	}
	b = bytes.TrimRight(b[2:], " \t") // RFC 2046 section 5.1.1: transport padding
	for i := len(w.stack) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(b, []byte(w.stack[i].boundary))
		if ok && len(rest) == 0 {
			return i, false
		}
		if ok && string(rest) == "--" {
			return i, true
		}
	}
	return -1, false
}

func (w *walker) delimited(l line, index int, closing bool) error {
	// The line is only good until the next read, and what ends here writes first.
	frame := make([]byte, 0, len(l.b)+4)
	if w.state == inHeader && w.raw != nil {
		// A header without a blank line: the part has no body.
		if err := w.headerDone(); err != nil {
			return err
		}
	}
	if w.pending {
		frame, w.pending = append(frame, crlf...), false
	}
	if err := w.endBody(false); err != nil {
		return err
	}
	frame = append(frame, l.b...)
	if l.crlf {
		frame = append(frame, crlf...)
	}
	w.stack = w.stack[:index+1]
	w.state, w.raw, w.message = inHeader, []byte{}, false
	if closing {
		w.stack, w.state = w.stack[:index], inFiller
	}
	return w.h.frame(frame)
}

// endBody ends the open leaf, if there is one.
func (w *walker) endBody(last bool) error {
	if w.state != inBody {
		return nil
	}
	w.state = inFiller
	return w.h.end(last)
}

func (w *walker) headerLine(l line) error {
	if !l.crlf && len(l.b) >= maxLine-1 || len(w.raw)+len(l.b) > maxHeader {
		return refuse("a header is too long to be understood")
	}
	w.raw = append(w.raw, l.b...)
	if l.crlf {
		w.raw = append(w.raw, crlf...)
	}
	if len(l.b) > 0 {
		return nil
	}
	return w.headerDone()
}

func (w *walker) headerDone() error {
	if w.count++; w.count > maxEntities {
		return refuse("the message has too many parts")
	}
	e, err := parseEntity(w.raw, w.message)
	if err != nil {
		return err
	}
	e.sealed = len(w.stack) > 0 && w.stack[len(w.stack)-1].sealed
	w.now, w.raw, w.message = e, nil, false
	switch e.kind {
	case multipart:
		if len(w.stack) >= maxDepth {
			return refuse("the message's parts are nested too deeply")
		}
		w.stack = append(w.stack, level{e.boundary, e.sealed || e.seals})
		w.state = inFiller
	case enclosed:
		w.state, w.message, w.raw = inHeader, true, []byte{}
	default:
		w.state = inBody
	}
	return w.h.header(e)
}

func (w *walker) finish() error {
	if w.state == inHeader && len(w.raw) > 0 {
		if err := w.headerDone(); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.endBody(true)
}
