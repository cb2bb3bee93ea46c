package queue

import (
	"errors"
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// Outlook is when a message will leave a queue, and what it waits for.
type Outlook struct {
	Message
	Leaves   time.Time // the next attempt if nothing changes; zero: nothing says when
	InFlight bool
	Blocks   []Block // what keeps it, the strongest first; none: its turn only
	// Ahead are messages of its queue that go before it, at least that many if AheadOpen.
	Ahead     int
	AheadOpen bool
	// Beside are messages of other queues, in memory, for the same next hop.
	Beside      int
	Connections int
	Class       string
	// Expires and Notice are when it is given up, and when its sender is told of the
	// delay: of a message whose time stands still, if it were let go now. Zero: never;
	// Notified: that was done.
	Expires, Notice time.Time
	Notified        bool
	DeliverBy       time.Time
	RetryAfter      time.Duration // the wait after its next failure
	Tried           []Tried
}

// Tried is the last attempt for a recipient.
type Tried struct {
	Recipient string
	codec.Attempt
}

// maxAhead bounds how far a place on disk is counted.
const maxAhead = 20_000

// Outlook tells of a message by its ID, for each queue that it is in; nothing of one that
// is not here.
func (r *Runner) Outlook(id mail.ID, node string, destination func(Info) string) ([]Outlook, error) {
	st, err := r.c.Store.Load(spool.ID(id))
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return nil, nil
	case errors.Is(err, spool.ErrClosed):
		return nil, err
	case err != nil:
		st = spool.Stored{} // its notes may say more
	}
	f := &finder{runner: r, search: Search{Node: node, Destination: destination}, now: r.c.Now(), queues: map[string]*place{}}
	for _, q := range r.List() {
		f.add(q)
	}
	f.setAside()
	if m := f.noted[id]; m != nil {
		return []Outlook{{Message: *m, Blocks: []Block{{Kind: BlockAside, Text: "set aside: " + m.LastError + "; `queue quarantine release` or `delete`"}}}}, nil
	}
	if err != nil {
		return nil, err
	}
	rec := &record{node: node, now: f.now, id: id, st: &st}
	rec.decode()
	var out []Outlook
	for _, e := range f.entries(rec) {
		rec.at, rec.entry, rec.tag, rec.to = e.at, &e.Entry, tag{}, nil
		if st.Plan == nil {
			rec.frozen, rec.sent = r.earlyNote(id), r.sent(id)
			out = append(out, r.outlookEarly(rec))
			continue
		}
		if rec.tag, err = decodeTag(e.Tag, true); err != nil {
			return nil, err
		}
		o := Outlook{Message: rec.describe()}
		if key, err := ParseName(e.Queue); err == nil {
			o.Class = classText(key.Class)
		}
		if err := r.outlook(rec, e.Queue, &o); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// outlook completes what is known of an entry.
func (r *Runner) outlook(rec *record, queue string, o *Outlook) error {
	ref := refOf(rec.id, rec.entry.Due, rec.tag, rec.entry.Tag)
	var p prospect
	known := false
	r.do(func(now int64) { p, known = r.sched.prospect(queue, ref, rec.tag.note, now) })
	if !known {
		return nil // it went on while it was looked at
	}
	o.Leaves, o.InFlight, o.Blocks, o.Beside, o.Connections = when(p.leaves), p.inFlight, p.blocks, p.beside, p.connections
	o.NextAttempt = o.Leaves
	if o.Ahead = p.ahead; !p.inMemory {
		if err := r.countAhead(queue, ref, o); err != nil {
			return err
		}
	}
	o.Expires, o.Notice, o.Notified = when(p.end), when(p.notice), ref.Notified
	o.DeliverBy, o.RetryAfter = when(ref.By), p.clock.interval(ref.Attempts+1)
	if !rec.wantsDelay() {
		o.Notice, o.Notified = time.Time{}, false // it is noted without being sent
	}
	if rec.tag.note == nil && !o.InFlight && o.Leaves.After(o.Expires) {
		o.Blocks = append(o.Blocks, Block{Kind: BlockExpiration, Text: "it is given up before " + clockTime(p.leaves) + ", when it could leave"})
		o.Leaves, o.NextAttempt = time.Time{}, time.Time{}
	}
	for i, t := range rec.targets {
		for _, last := range rec.st.Outcomes {
			if int(last.Target) != i || rec.tag.targets != nil && !slices.Contains(rec.tag.targets, i) {
				continue
			}
			if a, err := codec.DecodeAttempt(last.Payload); err == nil {
				o.Tried = append(o.Tried, Tried{addressOf(t), a})
			}
		}
	}
	return nil
}

// wantsDelay says whether anybody is told that the entry is late (RFC 3461 section 4.1).
func (r *record) wantsDelay() bool {
	if r.env.Null() {
		return false
	}
	for i, t := range r.targets {
		if t.Notify.WantsDelay() && (r.tag.targets == nil || slices.Contains(r.tag.targets, i)) {
			return true
		}
	}
	return false
}

// countAhead counts what stands before an entry on disk.
func (r *Runner) countAhead(queue string, ref Ref, o *Outlook) error {
	const page = 5000
	o.Ahead = 0
	for after := (spool.Position{}); ; {
		list, err := r.c.Store.Entries(queue, after, page)
		if err != nil {
			return err
		}
		for _, e := range list {
			if (Position{e.Due, mail.ID(e.ID)}).compare(ref.position()) >= 0 {
				return nil
			}
			o.Ahead++
		}
		if len(list) < page {
			return nil
		}
		if o.Ahead >= maxAhead {
			o.AheadOpen = true
			return nil
		}
		after = spool.Position{Due: list[len(list)-1].Due, ID: list[len(list)-1].ID}
	}
}

// outlookEarly tells of a message that is not routed yet.
func (r *Runner) outlookEarly(rec *record) Outlook {
	o := Outlook{Message: rec.describe()}
	if rec.frozen.At != 0 {
		o.Blocks = append(o.Blocks, Block{Kind: BlockMessage, Text: rec.frozen.text() + "; `message thaw` lets it go; it does not expire meanwhile"})
	}
	if rec.at.Whole {
		o.Blocks = append(o.Blocks, Block{Kind: BlockQueue, Text: rec.at.Frozen.text() + "; `queue thaw " + rec.at.ID + "` lets it go"})
	}
	begins := r.begins(rec.env)
	if rec.frozen.At != 0 {
		begins += max(rec.now.UnixMilli()-rec.frozen.At, 0)
	}
	end, _ := r.ends(begins, r.clock(mail.Hop{}).Of(rec.env.Priority, false))
	o.Expires = when(end)
	o.NextAttempt = time.Time{}
	r.inMu.Lock()
	defer r.inMu.Unlock()
	if _, o.InFlight = r.intake.working[rec.id]; o.InFlight || len(o.Blocks) > 0 {
		return o
	}
	o.Leaves = rec.now
	for i := range r.intake.later {
		if it := &r.intake.later[i]; it.id == rec.id && r.intake.current(*it) {
			b := Block{Kind: BlockDirectory, Text: "the directory: " + r.intake.reason, Until: it.at}
			if it.poison {
				b.Text = "it cannot be read, or crashed what processes it, and is tried again"
			}
			o.Leaves, o.Blocks = when(max(it.at, rec.now.UnixMilli())), append(o.Blocks, b)
		}
	}
	o.NextAttempt = o.Leaves
	return o
}
