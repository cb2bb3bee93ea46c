package queue

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// record is a message in a queue, or a queue alone if st is nil, as a filter asks
// for it. It decodes what is asked for only.
type record struct {
	node  string
	now   time.Time
	at    *place
	id    mail.ID
	st    *spool.Stored
	entry *spool.Entry
	tag   tag
	noted *Message // of one in quarantine; then st is nil
	// frozen is why it is held back before it was routed; zero: it is not.
	frozen Note
	sent   *redirection // where it is to go when it is routed; nil: its way

	env     *mail.Envelope
	targets []mail.Target
	err     error // why env or targets are missing
	decoded bool
	to      []string // recipients in this queue; nil: not looked for yet
}

// decode reads envelope and plan; what cannot be read is as good as empty.
func (r *record) decode() {
	if r.decoded {
		return
	}
	r.decoded = true
	if r.st.Envelope == nil {
		r.env, r.err = &mail.Envelope{}, errors.New("the envelope cannot be read")
		return
	}
	if r.env, r.err = codec.DecodeEnvelope(r.st.Envelope); r.err != nil {
		r.env = &mail.Envelope{}
		return
	}
	if r.st.Plan != nil {
		r.targets, r.err = codec.DecodePlan(r.st.Plan)
	}
}

// Text implements filter.Record.
func (r *record) Text(f filter.Field) ([]string, bool) {
	switch f {
	case filter.Node:
		return []string{r.node}, true
	case filter.Queue:
		return []string{r.at.ID}, true
	case filter.Kind:
		return []string{r.at.Kind}, true
	case filter.Destination:
		return filter.DestinationTexts(r.at.destination), true
	case filter.NextHop:
		return []string{r.at.NextHop}, true
	case filter.Connector:
		return []string{r.at.Connector}, true
	}
	if r.noted != nil {
		return r.noted.text(f)
	}
	if r.st == nil {
		return nil, false
	}
	switch f {
	case filter.State:
		return []string{r.state()}, true
	case filter.Error:
		return r.errors(), true
	}
	r.decode()
	switch f {
	case filter.Sender:
		return []string{r.env.From.String()}, true
	case filter.Recipient:
		return r.recipients(), true
	case filter.Priority:
		return []string{r.env.Priority.String()}, true
	case filter.MessageID:
		return []string{r.env.MessageID}, true
	}
	return nil, false
}

// text is what a note says of a message that cannot be read.
func (m *Message) text(f filter.Field) ([]string, bool) {
	switch f {
	case filter.State:
		return []string{m.State}, true
	case filter.Error:
		return []string{m.LastError}, true
	case filter.Sender:
		return []string{m.Sender}, true
	case filter.Recipient:
		return m.Recipients, true
	case filter.Priority:
		return []string{m.Priority.String()}, true
	case filter.MessageID:
		return []string{m.MessageID}, true
	}
	return nil, false
}

// Number implements filter.Record.
func (r *record) Number(f filter.Field) (int64, bool) {
	if r.noted != nil {
		return map[filter.Field]int64{filter.Size: r.noted.Size, filter.Age: r.now.Sub(r.noted.Created).Milliseconds()}[f], true
	}
	if r.st == nil {
		return 0, false
	}
	switch f {
	case filter.Size:
		return r.st.BodySize, true
	case filter.Age:
		return r.now.Sub(r.created()).Milliseconds(), true
	case filter.Attempts:
		n, _ := r.attempts()
		return int64(n), true
	}
	return 0, false
}

// created is the clock of expiration.
func (r *record) created() time.Time {
	if r.tag.created != 0 {
		return time.UnixMilli(r.tag.created)
	}
	r.decode()
	if r.env.Created.IsZero() {
		return r.id.Time()
	}
	return r.env.Created
}

// state is that of the message if it waits by itself, else its queue's.
func (r *record) state() string {
	if r.frozen.At != 0 {
		return Frozen.String()
	}
	if r.tag.attempts > 0 && r.ready() > r.now.UnixMilli() {
		return Retry.String()
	}
	return r.at.Word()
}

// ready is when the message may be given out, as far as it itself is concerned, Unix ms.
func (r *record) ready() int64 {
	if r.entry == nil {
		return 0
	}
	return r.at.ready(refOf(r.id, r.entry.Due, r.tag, nil), r.now.UnixMilli())
}

func (r *record) recipients() []string {
	if r.to != nil {
		return r.to
	}
	r.decode()
	r.to = []string{}
	switch {
	case r.st.Plan == nil:
		for _, rcpt := range r.env.Recipients {
			r.to = append(r.to, rcpt.Address.String())
		}
	case r.tag.targets == nil:
		for _, t := range r.targets {
			r.to = append(r.to, addressOf(t))
		}
	default:
		for _, i := range r.tag.targets {
			if i < len(r.targets) {
				r.to = append(r.to, addressOf(r.targets[i]))
			}
		}
	}
	return r.to
}

// attempts is how often the message was tried, and the last answer; that of its
// queue where the message itself has none.
func (r *record) attempts() (n int, text string) {
	n, text = r.tag.attempts, r.at.LastError
	for _, o := range r.st.Outcomes {
		if r.tag.targets != nil && !slices.Contains(r.tag.targets, int(o.Target)) {
			continue
		}
		if a, err := codec.DecodeAttempt(o.Payload); err == nil && a.Text != "" {
			n, text = max(n, a.Attempts), a.Text
		}
	}
	return n, text
}

// errors are the last answers to its recipients in the queue, as an order on them sees
// them; that of the queue for those who have none.
func (r *record) errors() []string {
	if len(r.st.Outcomes) == 0 || r.st.Plan == nil {
		return []string{r.at.LastError}
	}
	targets := r.tag.targets
	if targets == nil {
		r.decode()
		for i := range r.targets {
			targets = append(targets, i)
		}
	}
	list := lastErrors(r.st.Outcomes, targets)
	for i, text := range list {
		list[i] = cmp.Or(text, r.at.LastError)
	}
	return list
}

// describe is the message for an operator.
func (r *record) describe() Message {
	r.decode()
	m := envelopeMessage(r.env, r.at.ID)
	m.ID, m.Created = r.id, r.created()
	m.Size = max(m.Size, r.st.BodySize)
	m.Recipients, m.State, m.Priority = r.recipients(), r.state(), r.env.Priority
	m.Kind, m.NextHop, m.Connector, m.Destination = r.at.Kind, r.at.NextHop, r.at.Connector, r.at.destination
	m.VirtualServer = r.at.VirtualServer
	m.Attempts, m.LastError = r.attempts()
	m.NextAttempt = r.at.NextAttempt
	if due := r.ready(); r.entry != nil && due > max(r.now.UnixMilli(), m.NextAttempt.UnixMilli()) && r.at.moves() {
		if at, ok := r.at.opening.chance(due); ok {
			m.NextAttempt = when(at)
		}
	}
	if r.sent != nil {
		m.NextHop = "redirected to " + r.sent.To.Name
	}
	if key, err := ParseName(r.at.name); err == nil {
		m.Hold = key.Hold
	}
	if r.tag.note != nil {
		m.Frozen = *r.tag.note
	}
	if r.frozen.At != 0 {
		m.Hold, m.Frozen = HoldByHand, r.frozen
	}
	if r.err != nil {
		m.LastError = r.err.Error()
	}
	return m
}
