package submit

import (
	"bufio"
	"io"

	"github.com/postroad/postroad/node/mail"
)

const (
	// maxHeader bounds the header block in octets: more than any honest message
	// has.
	maxHeader = 1 << 20
	// bufferSize is the read buffer of one message in transit, in octets. A
	// line longer than it is passed on in pieces.
	bufferSize = 32 << 10
	// scratchSize holds a trace header of the usual length.
	scratchSize = 512

	crlf = "\r\n"
)

// stream is what one message in transit takes of memory, whatever its size.
type stream struct {
	content *bufio.Reader
	limited limited
	scratch []byte
	out     writer
}

func newStream() any {
	return &stream{content: bufio.NewReaderSize(nil, bufferSize), scratch: make([]byte, 0, scratchSize)}
}

// run writes trace header and content to w and returns what it saw of the
// header. mark is this node's, see [Config]. Errors of content come back as they are, for its maker knows how to
// answer them.
func (st *stream) run(w io.Writer, s *mail.Submission, content io.Reader, mark []byte) (*header, error) {
	st.limited = limited{r: content, left: s.MaxSize, limit: s.MaxSize}
	st.content.Reset(&st.limited)
	st.out = writer{w: w}
	st.out.Write(appendReceived(st.scratch[:0], s, mark))

	h := &header{mark: mark}
	rest, lineStart, err := st.header(h)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if s.HopLimit > 0 && h.own > maxReturns {
		return nil, comesBack(h.own)
	}
	h.received++ // this node's
	if s.HopLimit > 0 && h.received > s.HopLimit {
		return nil, hopCount(h.received, s.HopLimit)
	}
	st.complete(s, h, lineStart)
	if rest != nil {
		if rest[0] != '\r' && rest[0] != '\n' {
			st.out.writeString(crlf)
		}
		st.out.Write(rest)
		if _, err := st.content.WriteTo(&st.out); err != nil && st.out.err == nil {
			return nil, err
		}
	}
	h.nature = st.out.nature.whole()
	return h, st.out.failed()
}

// header copies lines until one that is not of the header, which it returns:
// the empty line, the first line of a text without one, or the beginning of
// either if it is longer than the buffer. It ends with io.EOF if the content is
// all header; lineStart says whether the last line was complete then.
func (st *stream) header(h *header) (rest []byte, lineStart bool, err error) {
	lineStart = true
	for size := 0; size <= maxHeader; {
		l, err := st.content.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			err = nil
		}
		if len(l) > 0 {
			if lineStart && !h.line(l) {
				if err == io.EOF {
					err = nil // which WriteTo meets again
				}
				return l, true, err
			}
			size += len(l)
			st.out.Write(l)
			lineStart = l[len(l)-1] == '\n'
		}
		if err == nil {
			err = st.out.failed()
		}
		if err != nil {
			return nil, lineStart, err
		}
	}
	return nil, lineStart, headerTooLarge()
}

// complete adds what is missing at the end of the header and sets what the
// envelope keeps of it.
func (st *stream) complete(s *mail.Submission, h *header, lineStart bool) {
	s.Envelope.MessageID = h.id()
	if !s.Complete || h.hasMessageID && h.hasDate {
		return
	}
	if !h.hasMessageID {
		s.Envelope.MessageID = messageID(s.Envelope.ID, s.By)
	}
	if !lineStart {
		st.out.writeString(crlf)
	}
	st.out.Write(appendMissing(nil, s, h))
}

// limited refuses to read more than limit octets; a limit of 0 is none.
type limited struct {
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.limit > 0 && l.left < 0 {
		return 0, tooLarge(l.limit)
	}
	return n, err
}

// WriteTo implements io.WriterTo: a source that can write has one copy less to make.
func (l *limited) WriteTo(w io.Writer) (int64, error) {
	if from, ok := l.r.(io.WriterTo); ok {
		return from.WriteTo(&bounded{l, w})
	}
	return io.Copy(w, struct{ io.Reader }{l})
}

// bounded is limited from the other side.
type bounded struct {
	l *limited
	w io.Writer
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.l.left -= int64(len(p)); b.l.limit > 0 && b.l.left < 0 {
		return 0, tooLarge(b.l.limit)
	}
	return b.w.Write(p)
}

// writer keeps the first error, so that the copying need not look at each write.
type writer struct {
	w      io.Writer
	err    error
	nature nature // of what was written
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.nature.note(p)
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}

func (w *writer) writeString(s string) { w.Write([]byte(s)) }

func (w *writer) failed() error {
	if w.err == nil {
		return nil
	}
	return storage(w.err)
}
