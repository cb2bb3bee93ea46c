package queue

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// Cursor is a place in the order of a search: by message, then by queue. As IDs
// begin with the time, older messages come first, and new ones come after all
// that was looked at. The zero value is the beginning.
type Cursor struct {
	ID mail.ID
	// Queue is the ID of the last queue of that message that was looked at; "": the
	// message itself was not looked at yet.
	Queue string
}

// lastQueue comes after all IDs of queues.
const lastQueue = "~"

// String is the place in text. Texts sort as the places do.
func (c Cursor) String() string { return c.ID.String() + "." + c.Queue }

// ParseCursor reads what String writes.
func ParseCursor(s string) (Cursor, error) {
	id, queue, found := strings.Cut(s, ".")
	c := Cursor{Queue: queue}
	var err error
	if c.ID, err = mail.ParseID(id); err == nil && !found {
		err = errors.New("a place without a queue")
	}
	return c, err
}

// Compare orders two places.
func (c Cursor) Compare(o Cursor) int {
	return cmp.Or(compareID(c.ID, o.ID), cmp.Compare(c.Queue, o.Queue))
}

// Search asks for waiting messages.
type Search struct {
	Filter *filter.Filter // nil: all
	Queue  string         // ID of a queue; "": all
	After  Cursor
	Limit  int // at most so many; 0: 100
	// Budget is how long to look; what was not looked at then is left to the next
	// page. 0: as long as it takes.
	Budget time.Duration
	// Node and Destination are what the filter's fields of these names see.
	Node        string
	Destination func(Info) string

	walk bool // look at all messages, even if few can be meant; for tests
}

// Found is a page of a search.
type Found struct {
	Messages []Message
	// Next is where to go on; nil: that was all.
	Next *Cursor
	// Looked is how many messages were looked at.
	Looked int
}

// fewEntries: queues that hold less are searched by their keys, more by walking
// through all messages.
const (
	fewEntries = 20_000
	fewQueues  = 1000
)

// Find looks for messages, one for each queue that a message is in.
func (r *Runner) Find(s Search) (Found, error) {
	now := r.c.Now()
	f := &finder{runner: r, search: s, now: now, queues: map[string]*place{}}
	if f.search.Limit <= 0 {
		f.search.Limit = 100
	}
	for _, q := range r.List() {
		f.add(q)
	}
	f.setAside()
	if f.none() {
		return f.found, nil
	}
	few := !s.walk && f.few()
	f.now = r.c.Now() // the budget is for looking at messages
	var err error
	if !few {
		err = f.walk()
	}
	if few || errors.Is(err, spool.ErrCorrupt) {
		// Where a block cannot be read, all is gathered by keys, and each message by itself.
		err = f.each()
	}
	if err == nil && f.found.Next == nil {
		f.upTo(lastID)
	}
	return f.found, err
}

// place is a queue as a search sees it.
type place struct {
	Info
	destination string
	wanted      bool
}

type finder struct {
	runner *Runner
	search Search
	now    time.Time
	queues map[string]*place // by name in the spool
	// before are those of messages without a plan.
	before [stages]place
	// quarantine is the place of what is set aside, noted what is known of that, pending
	// those that are still to be looked at.
	quarantine place
	noted      map[mail.ID]*Message
	pending    []mail.ID
	aside      map[mail.ID]bool // messages without a plan that were put off; nil: not asked for yet
	found      Found
	list       []standing // of the message that is looked at
}

func (f *finder) add(q Info) {
	p := f.place(q)
	switch {
	case q.name != "":
		f.queues[q.name] = &p
	default:
		if at, ok := stageNamed(q.ID); ok {
			f.before[at] = p
		}
	}
}

// setAside prepares what is in quarantine, which is never much. It is taken from the
// notes: the messages themselves cannot be read, or are not met at all.
func (f *finder) setAside() {
	f.quarantine = f.place(f.runner.quarantineInfo(f.now))
	f.noted = map[mail.ID]*Message{}
	for _, m := range f.runner.Quarantined() {
		f.noted[m.ID] = &m
		if f.apart(&m).wanted {
			f.pending = append(f.pending, m.ID)
		}
	}
	slices.SortFunc(f.pending, compareID)
}

// apart is where a message stands that was set aside.
func (f *finder) apart(m *Message) *place {
	if m.Queue == IDPoison {
		return &f.before[stagePoison]
	}
	return &f.quarantine
}

// upTo looks at what is in quarantine up to a message, and says whether to go on.
func (f *finder) upTo(id mail.ID) bool {
	for len(f.pending) > 0 && compareID(f.pending[0], id) <= 0 {
		m := f.noted[f.pending[0]]
		f.pending = f.pending[1:]
		if (Cursor{m.ID, m.Queue}).Compare(f.search.After) <= 0 ||
			f.search.Filter.Judge(&record{node: f.search.Node, now: f.now, at: f.apart(m), id: m.ID, noted: m}) != filter.Yes {
			continue
		}
		if !f.give(*m) {
			return false
		}
	}
	return true
}

// give adds a row, unless the page is full.
func (f *finder) give(m Message) bool {
	if len(f.found.Messages) == f.search.Limit {
		last := f.found.Messages[len(f.found.Messages)-1]
		f.found.Next = &Cursor{last.ID, last.Queue}
		return false
	}
	f.found.Messages = append(f.found.Messages, m)
	return true
}

// place says whether messages of the queue can be meant, as far as the queue tells.
func (f *finder) place(q Info) place {
	p := place{Info: q}
	if f.search.Destination != nil {
		p.destination = f.search.Destination(q)
	}
	p.wanted = (f.search.Queue == "" || q.is(f.search.Queue)) &&
		f.search.Filter.Judge(&record{node: f.search.Node, at: &p, now: f.now}) != filter.No
	return p
}

// is says whether an operator means the queue by that ID.
func (q Info) is(id string) bool {
	return id == q.ID || q.Kind != "" && q.Kind == listedAs(id)
}

// listedAs is the kind of the queues that an ID of those which are always listed means.
func listedAs(id string) string {
	switch id {
	case IDLocal:
		return KindLocal
	case IDUnreachable:
		return KindUnreachable
	case IDReroute:
		return KindReroute
	case IDDeferred:
		return KindDeferred
	}
	return ""
}

func (f *finder) none() bool {
	for _, p := range f.queues {
		if p.wanted {
			return false
		}
	}
	return !f.unplanned() && len(f.pending) == 0
}

// unplanned says whether messages without a plan can be meant.
func (f *finder) unplanned() bool {
	return slices.ContainsFunc(f.before[:], func(p place) bool { return p.wanted })
}

// few says whether the queues that are wanted hold little enough to be searched by
// their keys. The counts may be too low at first; then it only takes longer.
func (f *finder) few() bool {
	messages, queues := 0, 0
	for _, p := range f.queues {
		if p.wanted {
			queues, messages = queues+1, messages+int(p.Messages)
		}
	}
	return queues <= fewQueues && messages <= fewEntries
}

// lastID comes after all messages.
var lastID = mail.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
