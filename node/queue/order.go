package queue

import (
	"cmp"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// Item is one recipient of a waiting message, for those who choose among them.
type Item struct {
	Key      Key
	Hop      mail.Hop
	Envelope *mail.Envelope
	Target   mail.Target
	// Recipients are all those of the message in the queue, as they are shown.
	Recipients []string
	Due        int64 // when it may be given out, as far as it itself is concerned, Unix ms
	Created    int64 // Unix ms; its age counts from here
	Attempts   int
	Queue      Info     // of a message that is on its way into its queue, without counts
	LastErr    string   // of Target; that of its queue where there is none
	Errors     []string // the same of all Recipients
	Exempt     bool     // no rule may hold it

	failed int64 // when it was deferred last, Unix ms
}

// Recipient is the address of Target, as it is shown.
func (it Item) Recipient() string { return addressOf(it.Target) }

// Order is what is to be done to the entries that it is given for.
type Order struct {
	Verb Verb
	Note Note
	// Hold: whose, for VerbFreeze.
	Hold string
	// Report has the sender told, for VerbDelete, with Status.
	Report bool
	Status mail.Status
	// To is the new way, for VerbRedirect.
	To Way
	// Match chooses recipients of the entry; nil: all. Those it does not choose
	// stay as they are.
	Match func(Item) bool

	// class is the size class of verbClass, by the message's size.
	class func(size int64) int64

	// only chooses targets by their index in the plan; nil: all.
	only func(int) bool

	// done is called once for each entry.
	done func(Result)
}

// Way is where an administrator sends messages: a connector, a host, or, zero, the
// way that routing finds.
type Way struct {
	Connector mail.GUID
	Host      string // "host:port"
	Name      string // for people
}

// auto says whether that is the way that routing finds.
func (w Way) auto() bool { return w.Connector.IsZero() && w.Host == "" }

// Result is what became of an order on one entry.
type Result struct {
	Void       bool  // it was not there any more, or had nothing that matched
	Err        error // it stays as it was
	Recipients int
	Octets     int64
	Untold     bool // a report was due, and a bound of reports was reached
}

func (o *Order) settled(res Result) {
	if o.done != nil {
		o.done(res)
	}
}

// to is the queue of an order's recipients afterwards.
func (o *Order) to(k Key) Key {
	switch o.Verb {
	case VerbFreeze:
		if k.Hold == "" { // who held it first, holds it
			k.Hold = o.Hold
		}
	case VerbThaw:
		k.Hold = ""
	case VerbRedirect:
		k.Via, k.Destination.Connector = o.To.Host, o.To.Connector
		k.Part = 0
	}
	return k
}

var errElsewhere = errors.New("mail to servers of the organisation takes the way of the map: redirect it to a host")

// refuses says why an order cannot be carried out on a queue; nil: it can.
func (r *Runner) refuses(o *Order, k Key) error {
	if o.Verb != VerbRedirect || o.To.Connector.IsZero() {
		return nil
	}
	if k.Destination.Place != mail.PlaceForeign {
		return errElsewhere
	}
	to := o.to(k)
	hop := r.c.Router.Hop(to.Destination, to.Class, to.Visited)
	if hop.Connector == o.To.Connector || hop.Travel == o.To.Connector {
		return nil
	}
	return fmt.Errorf("connector %s does not take mail for %s from here: %s", o.To.Name, k.Destination.Domain, cmp.Or(hop.Reason, hop.Name))
}

// idle says whether an order changes nothing in a queue.
func (o *Order) idle(k Key) bool {
	if o.Verb == verbClass {
		return false // the message tells
	}
	return o.Verb != VerbDelete && o.to(k).Name() == k.Name()
}

// opened is an entry that an order is about, as it is on disk.
type opened struct {
	key     Key
	msg     *message
	ref     Ref
	tag     tag
	stored  spool.Stored
	mine    []int // targets that the order chooses
	others  []int
	targets []mail.Target // those of mine
}

// perform carries out EffectOrder.
func (r *Runner) perform(e Effect) {
	o := e.Order
	w, err := r.open(e, o)
	switch {
	case errors.Is(err, spool.ErrNotFound):
		r.do(func(now int64) { r.sched.Gone(e.Queue, e.Ref.ID, now); r.quiet.Broadcast() })
		o.settled(Result{Void: true})
		return
	case err != nil:
		r.setAside([]Taken{{e.Queue, e.Ref}}, nil, err)
		o.settled(Result{Err: err})
		return
	case len(w.mine) == 0 || o.idle(w.key) || o.class != nil && o.class(w.msg.env.Size) == w.key.Class.Size:
		r.unchanged(e.Queue, w.ref)
		o.settled(Result{Void: true})
		return
	}
	if err = r.refuses(o, w.key); err != nil {
		r.unchanged(e.Queue, w.ref)
		o.settled(Result{Err: err})
		return
	}
	var s *settled
	if o.Verb == VerbDelete {
		s, err = r.deleted(e.Queue, w, o)
	} else if s = r.redirected(e.Queue, w, o); s == nil {
		o.settled(Result{Err: errName})
		return
	}
	if err != nil {
		r.log.Error("report_not_written", zap.Stringer("id", e.Ref.ID), zap.Error(err))
		r.unchanged(e.Queue, w.ref)
		o.settled(Result{Err: fmt.Errorf("the report to the sender cannot be written: %w", err)})
		return
	}
	s.done = func(err error) {
		o.settled(Result{Err: err, Recipients: len(w.mine), Octets: w.msg.env.Size, Untold: o.Verb == VerbDelete && o.Report && untold(w.msg.env, w.targets, s.commit.Reports)})
	}
	r.submit([]*settled{s})
}

// unchanged puts an entry back that an order did nothing to.
func (r *Runner) unchanged(queue string, ref Ref) {
	r.do(func(now int64) {
		r.sched.Requeued(queue, ref, "", now)
		r.quiet.Broadcast()
	})
}

// open reads an entry; while an order is out for it, nobody else changes it.
func (r *Runner) open(e Effect, o *Order) (*opened, error) {
	key, err := ParseName(e.Queue)
	if err != nil {
		return nil, err
	}
	w := &opened{key: key}
	if w.stored, err = r.c.Store.Load(spool.ID(e.Ref.ID)); err != nil {
		return nil, err
	}
	found := false
	for _, entry := range w.stored.Entries {
		if entry.Queue != e.Queue {
			continue
		}
		found = true
		if w.tag, err = decodeTag(entry.Tag, true); err != nil {
			return nil, err
		}
		w.ref = refOf(e.Ref.ID, entry.Due, w.tag, entry.Tag)
	}
	if !found {
		return nil, fmt.Errorf("message %s in queue %s: %w", e.Ref.ID, queueID(e.Queue), spool.ErrNotFound)
	}
	r.do(func(int64) { r.sched.Learn(e.Queue, w.ref) })
	if w.msg, err = decodeMessage(w.stored); err != nil {
		return nil, err
	}
	all, err := targetsOf(w.ref, len(w.msg.targets))
	if err != nil {
		return nil, err
	}
	it := r.item(w.key, e.Hop, w.msg, w.ref)
	it.Recipients, it.Errors = shown(w.msg, all), lastErrors(w.stored.Outcomes, all)
	for n, i := range all {
		it.Target, it.LastErr = w.msg.targets[i], it.Errors[n]
		if (o.only == nil || o.only(i)) && (o.Match == nil || o.Match(it)) {
			w.mine = append(w.mine, i)
			w.targets = append(w.targets, it.Target)
		} else {
			w.others = append(w.others, i)
		}
	}
	return w, nil
}

// shown are the addresses of some targets.
func shown(m *message, targets []int) []string {
	all := make([]string, len(targets))
	for n, i := range targets {
		all[n] = addressOf(m.targets[i])
	}
	return all
}

// parted is the tag for some of the entry's targets, when others part from them.
func (w *opened) parted(t tag, targets []int) tag {
	if len(w.others) > 0 {
		t.multi, t.targets = true, targets
	}
	return t
}

// redirected prepares an order that puts recipients into another queue.
func (r *Runner) redirected(queue string, w *opened, o *Order) *settled {
	t := w.parted(w.tag, w.mine)
	kind, detail := mail.EventRedirect, "to "+o.To.Name
	switch o.Verb {
	case VerbFreeze:
		note := o.Note
		t.note, kind, detail = &note, mail.EventFreeze, ""
	case VerbThaw:
		t = thawed(t, o.Note.At)
		t.exempt = true
		kind, detail = mail.EventThaw, ""
	}
	due := w.ref.Due
	if o.Verb == VerbRedirect && t.failed != 0 {
		due, t.failed = r.now(), 0 // it was another host that put it off
	}
	to := o.to(w.key)
	if o.class != nil {
		to.Class.Size, to.Part = o.class(w.msg.env.Size), 0
	}
	s := r.move(queue, w.ref, to, t, due)
	if s == nil {
		return nil
	}
	if o.Verb == VerbThaw {
		r.judge(s)
	}
	if len(w.others) > 0 {
		left := w.parted(w.tag, w.others)
		rest := refOf(w.ref.ID, w.ref.Due, left, left.encode())
		s.rest = &rest
		s.commit.Also = []spool.Entry{{Queue: queue, Due: rest.Due, Tag: rest.Tag}}
	}
	if o.class == nil {
		s.events = []mail.Event{r.ordered(w, o, kind, detail)}
	}
	return s
}

// thawed ends a hold: the time of the message goes on where it stood still.
func thawed(t tag, now int64) tag {
	if t.note != nil {
		t.created += max(now-t.note.At, 0)
	}
	t.note = nil
	return t
}

// deleted prepares the end of the recipients.
func (r *Runner) deleted(queue string, w *opened, o *Order) (*settled, error) {
	s := &settled{ref: w.ref, commit: spool.Settlement{ID: spool.ID(w.ref.ID), Queue: queue, Due: w.ref.Due}}
	if len(w.others) > 0 {
		s.requeue(w.parted(w.tag, w.others), w.ref.Due)
	}
	line := spool.Deleted
	if o.Report {
		line = spool.Returned
	}
	s.commit.Ends = post(nil, line, len(w.mine))
	e := r.ordered(w, o, mail.EventFail, "deleted")
	e.Status = o.Status.String()
	if o.Report {
		text := deletedText(o)
		outcomes := make([]mail.Outcome, len(w.mine))
		for i := range outcomes {
			outcomes[i] = mail.Fail(o.Status, text)
		}
		var err error
		content := &content{store: r.c.Store, id: spool.ID(w.ref.ID), size: w.msg.env.Size}
		if s.commit.Reports, err = r.write(ReportFailure, w.msg.env, w.targets, outcomes, content); err != nil {
			return nil, err
		}
	} else {
		e.Detail += ", no report"
	}
	s.events = []mail.Event{e}
	return s, nil
}

// ordered is the event of an order on an entry.
func (r *Runner) ordered(w *opened, o *Order, kind mail.EventKind, detail string) mail.Event {
	e := eventOf(w.msg.env, kind, "ADMIN", r.c.Now())
	for _, t := range w.targets {
		e.Recipients = append(e.Recipients, addressOf(t))
	}
	if rule := RuleOf(o.Hold); rule != "" && o.Verb == VerbFreeze && o.Note.By == "" {
		detail = "rule " + rule
	}
	e.Detail = o.words(detail)
	return e
}

// words are what an event says of an order: what was done, by whom, why.
func (o *Order) words(detail string) string {
	if o.Note.By != "" {
		detail = join(detail, "by "+o.Note.By)
	}
	if o.Note.Reason != "" {
		detail = join(detail, o.Note.Reason)
	}
	return detail
}

// deletedText is what the sender is told.
func deletedText(o *Order) string {
	if o.Note.Reason == "" {
		return "deleted by an administrator"
	}
	return "deleted by an administrator: " + o.Note.Reason
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
