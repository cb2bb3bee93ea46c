package track

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// MaxScan bounds the octets that one Find reads.
const MaxScan = 1 << 30

// DefaultLimit is how many events Find gives at most if the query does not say.
const DefaultLimit = 1000

// Query says which events are wanted; what is empty is not asked. The case
// of ASCII letters does not matter.
type Query struct {
	// Message is a queue ID, an origin ID or a header Message-ID, with or without
	// its brackets; reports linked with the message are found too.
	Message   string
	Sender    string
	Recipient string
	Since     time.Time
	Limit     int // 0: DefaultLimit; the latest are given
}

// Found is the answer to a Query.
type Found struct {
	Events []mail.Event // oldest first
	// Partial: older files were not read, because MaxScan was reached.
	Partial bool
}

// Find searches the files, newest first, after writing out what is in memory.
func (l *Log) Find(q Query) (Found, error) {
	// A closed log can still be read; a disk that takes nothing still gives.
	if err := l.Flush(); err != nil && !errors.Is(err, ErrClosed) {
		l.log.Warn("tracking_search_incomplete")
	}
	return find(l.cfg.Dir, q, MaxScan)
}

func find(dir string, q Query, budget int64) (Found, error) {
	all, err := list(dir)
	if err != nil {
		return Found{}, fmt.Errorf("tracking log: %w", err)
	}
	m := newMatcher(q)
	var found Found
	for _, f := range slices.Backward(all) {
		if !q.Since.IsZero() && f.day < dayOf(q.Since) || len(found.Events) >= m.limit {
			break
		}
		if f.size > budget {
			found.Partial = true
			break
		}
		budget -= f.size
		events, err := m.search(f.path)
		if err != nil {
			return Found{}, fmt.Errorf("tracking log: %w", err)
		}
		found.Events = append(events, found.Events...)
	}
	slices.SortStableFunc(found.Events, func(a, b mail.Event) int { return a.At.Compare(b.At) })
	if n := len(found.Events) - m.limit; n > 0 {
		found.Events = found.Events[n:]
	}
	return found, nil
}

// matcher looks for the query's words in the raw line first: few lines need be
// parsed.
type matcher struct {
	q     Query
	limit int
	words [][]byte // lower case, as they stand in a line
	lower []byte
}

func newMatcher(q Query) *matcher {
	q.Message = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(q.Message), "<"), ">")
	m := &matcher{q: q, limit: q.Limit}
	if m.limit <= 0 {
		m.limit = DefaultLimit
	}
	for _, w := range []string{q.Message, q.Sender, q.Recipient} {
		if w != "" {
			quoted := appendString(nil, w)
			m.words = append(m.words, appendLower(nil, quoted[1:len(quoted)-1]))
		}
	}
	return m
}

func (m *matcher) search(path string) ([]mail.Event, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // expired just now
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []mail.Event
	for r := bufio.NewReaderSize(f, 256<<10); ; {
		line, err := readLine(r)
		if e, ok := m.match(line); ok {
			events = append(events, e)
			if len(events) >= 2*m.limit {
				events = append(events[:0], events[len(events)-m.limit:]...)
			}
		}
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// readLine gives the next line; it is valid until the next call. Lines are as
// long as their recipients are many, so one may exceed the reader's buffer.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	rest, err := r.ReadBytes('\n')
	return append(long, rest...), err
}

// match skips lines that are not records: a crash may leave half of one.
func (m *matcher) match(line []byte) (mail.Event, bool) {
	if len(line) == 0 {
		return mail.Event{}, false
	}
	if len(m.words) > 0 {
		m.lower = appendLower(m.lower[:0], line)
		for _, w := range m.words {
			if !bytes.Contains(m.lower, w) {
				return mail.Event{}, false
			}
		}
	}
	e, err := parseRecord(line)
	return e, err == nil && m.fits(&e)
}

func (m *matcher) fits(e *mail.Event) bool {
	q := &m.q
	if e.At.Before(q.Since) || q.Sender != "" && !strings.EqualFold(e.Sender, q.Sender) {
		return false
	}
	if q.Recipient != "" && !slices.ContainsFunc(e.Recipients, func(r string) bool { return strings.EqualFold(r, q.Recipient) }) {
		return false
	}
	return q.Message == "" || strings.EqualFold(e.MessageID, q.Message) ||
		slices.ContainsFunc([]mail.ID{e.ID, e.Origin, e.Linked}, func(id mail.ID) bool { return strings.EqualFold(id.String(), q.Message) })
}

// appendLower lowers ASCII letters only; others must match as they are.
func appendLower(b, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
