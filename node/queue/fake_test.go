package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// fakeRouter sends each domain to the MX of that name unless told otherwise.
type fakeRouter struct {
	mu      sync.Mutex
	hops    map[string]mail.Hop // by Destination.String
	gone    string              // the name of a hop whose host is gone
	bucket  func(origin mail.ID) uint8
	changed func()
}

func (r *fakeRouter) Hop(d mail.Destination, c mail.Class, _ []mail.GUID) mail.Hop {
	r.mu.Lock()
	defer r.mu.Unlock()
	// "SMTP:x" for all, "SMTP:x+3" for a bucket, "SMTP:x~" for listed senders.
	if h, ok := r.hops[fmt.Sprintf("%s+%d", d, c.Bucket)]; ok {
		return h
	}
	if h, ok := r.hops[d.String()+"~"]; ok && c.Sender != "" {
		return h
	}
	if h, ok := r.hops[d.String()]; ok {
		return h
	}
	if d.Place == mail.PlaceLocal {
		return mail.Hop{Kind: mail.HopLocal, Name: "local delivery"}
	}
	return mail.Hop{Kind: mail.HopMX, Name: d.Domain, Domain: d.Domain}
}

func (r *fakeRouter) Via(host string, _ mail.Class) mail.Hop {
	return mail.Hop{Kind: mail.HopSmartHost, Name: host, Hosts: []string{host}, ByHand: true}
}

func (r *fakeRouter) Bucket(_ mail.Destination, _ mail.Class, _ []mail.GUID, origin mail.ID) uint8 {
	if r.bucket == nil {
		return 0
	}
	return r.bucket(origin)
}

func (r *fakeRouter) Gone(h mail.Hop) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.Name == r.gone {
		return r.gone + " is down"
	}
	return ""
}

func (r *fakeRouter) Subscribe(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = f
}

func (r *fakeRouter) set(dest string, h mail.Hop) {
	r.mu.Lock()
	if r.hops == nil {
		r.hops = map[string]mail.Hop{}
	}
	r.hops[dest] = h
	f := r.changed
	r.mu.Unlock()
	if f != nil {
		f()
	}
}

// fakeAgent answers for each target; dial may refuse the connection.
type fakeAgent struct {
	dial   func(hop mail.Hop) error
	answer func(hop mail.Hop, t *mail.Transaction, target mail.Target) mail.Outcome
	after  func(hop mail.Hop, t *mail.Transaction) error // may break the connection

	mu        sync.Mutex
	delivered []string // "hop address"
	dials     []string
	at        []time.Time
	together  []int // targets of each transaction
}

var delivered = mail.Outcome{Result: mail.Delivered, Status: mail.StatusOK, Reply: &mail.Reply{Code: 250}}

func (a *fakeAgent) dialledAt(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.at, func(at time.Time) bool { return at.Truncate(time.Millisecond).Equal(t) })
}

func (a *fakeAgent) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	a.mu.Lock()
	a.dials = append(a.dials, hop.Name)
	a.at = append(a.at, time.Now())
	dial := a.dial
	a.mu.Unlock()
	if dial != nil {
		if err := dial(hop); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		t := feed.Next()
		if t == nil {
			if !feed.Wait(5 * time.Second) {
				return nil
			}
			continue
		}
		out := make([]mail.Outcome, len(t.Targets))
		for i, target := range t.Targets {
			out[i] = delivered
			if a.answer != nil {
				out[i] = a.answer(hop, t, target)
			}
			if out[i].Result == mail.Delivered {
				a.mu.Lock()
				a.delivered = append(a.delivered, hop.Name+" "+target.Address.String())
				a.mu.Unlock()
			}
		}
		a.mu.Lock()
		a.together = append(a.together, len(t.Targets))
		a.mu.Unlock()
		feed.Done(t, out)
		if a.after != nil {
			if err := a.after(hop, t); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (a *fakeAgent) dialled() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.dials)
}

func (a *fakeAgent) got() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.delivered))
}

// fakeCategorizer: recipients at "here" are local, "nobody@..." fails, all
// others are foreign.
type fakeCategorizer struct {
	wait chan struct{} // nil: nobody waits

	mu  sync.Mutex
	err error
}

func (c *fakeCategorizer) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *fakeCategorizer) Resolve(env *mail.Envelope) (Plan, error) {
	if c.wait != nil {
		<-c.wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return Plan{}, c.err
	}
	var p Plan
	if strings.HasPrefix(env.From.Local, "trainee") {
		p.Sender = mail.NewSender([]uint64{7})
	}
	for i, r := range env.Recipients {
		t := mail.Target{Address: r.Address, Recipient: i, Notify: r.Notify}
		switch {
		case r.Address.Local == "nobody":
			p.Failed = append(p.Failed, Failure{t, mail.Fail(mail.StatusUnknownUser, "unknown")})
			continue
		case r.Address.Domain != "here":
			t.Destination = mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: r.Address.Domain}
		}
		p.Targets = append(p.Targets, t)
	}
	return p, nil
}

// fakeReporter answers a message that has a sender with one from the null sender.
type fakeReporter struct {
	mu   sync.Mutex
	list []string // "kind sender status..."
	told []Aside
	err  error
	full bool // its bound is reached: it makes none
	n    byte
	// until is the end that delay reports named, by recipient.
	until map[string]time.Time
	// said are the last outcomes that reports gave, by kind and recipient.
	said map[string]mail.Outcome
}

func (r *fakeReporter) Report(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, _ mail.Content) ([]spool.Incoming, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	text := fmt.Sprintf("%s to %s:", [...]string{"", "failure", "delay", "success", "expanded"}[kind], env.From)
	for i, t := range targets {
		text += fmt.Sprintf(" %s %s", t.Address, outcomes[i].Status)
	}
	r.list = append(r.list, text)
	if r.said == nil {
		r.said = map[string]mail.Outcome{}
	}
	for i, t := range targets {
		r.said[fmt.Sprintf("%s %s", [...]string{"", "failure", "delay", "success", "expanded"}[kind], t.Address)] = outcomes[i]
	}
	if kind == ReportDelay {
		if r.until == nil {
			r.until = map[string]time.Time{}
		}
		for i, t := range targets {
			r.until[t.Address.String()] = outcomes[i].Until
		}
	}
	if env.Null() || r.full {
		return nil, nil
	}
	r.n++
	id := mail.NewID(time.Now(), [10]byte{0xd5, r.n})
	dsn := &mail.Envelope{ID: id, Origin: id, Created: time.Now(), Received: time.Now(), System: true,
		Recipients: []mail.Recipient{{Address: env.From}}}
	return []spool.Incoming{{ID: spool.ID(id), Envelope: codec.EncodeEnvelope(dsn), Recipients: 1}}, nil
}

func (r *fakeReporter) SetAside(a Aside) (mail.ID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return mail.ID{}, r.err
	}
	r.told = append(r.told, a)
	return mail.NewID(a.At, [10]byte{0xee, byte(len(r.told))}), nil
}

// notices are the messages that were told of.
func (r *fakeReporter) notices() []Aside {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

func (r *fakeReporter) outcome(report string) (o mail.Outcome, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok = r.said[report]
	return o, ok
}

func (r *fakeReporter) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// envelope makes the nth message, from a@here.
func envelope(n int, rcpts ...string) *mail.Envelope {
	now := time.Now()
	id := mail.NewID(now, [10]byte{0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	env := &mail.Envelope{ID: id, Origin: id, Created: now, Received: now, Size: 1000, From: mail.Address{Local: "a", Domain: "here"}}
	for _, r := range rcpts {
		local, domain, _ := strings.Cut(r, "@")
		env.Recipients = append(env.Recipients, mail.Recipient{Address: mail.Address{Local: local, Domain: domain}})
	}
	return env
}

var errAway = errors.New("connection refused")

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
