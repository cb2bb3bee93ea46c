package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
)

// Likeness says which queues are alike; all that is set must hold. But for Kind the
// fields are patterns as in a filter.
type Likeness struct {
	Kind        string `json:"kind,omitempty"`        // [IDLocal] or [IDDeferred]
	Destination string `json:"destination,omitempty"` // as it is listed, or the domain alone
	NextHop     string `json:"next_hop,omitempty"`
	Connector   string `json:"connector,omitempty"`
}

// fields are what is set, in order, with the flag of the command.
func (l Likeness) fields() (list [][3]string) {
	for _, f := range [][3]string{
		{"", "", l.Kind}, {"destination", "--destination", l.Destination},
		{"next hop", "--next-hop", l.NextHop}, {"connector", "--connector", l.Connector},
	} {
		if f[2] != "" {
			list = append(list, f)
		}
	}
	return list
}

// String is the likeness in words: "next hop mx.example, connector internet".
func (l Likeness) String() string {
	var words []string
	for _, f := range l.fields() {
		words = append(words, strings.TrimSpace(f[0]+" "+f[2]))
	}
	return strings.Join(words, ", ")
}

// flags are what `queue thaw` wants to hear.
func (l Likeness) flags() string {
	var words []string
	for _, f := range l.fields() {
		words = append(words, strings.TrimSpace(f[1]+" "+quoted(f[2])))
	}
	return strings.Join(words, " ")
}

func quoted(s string) string {
	if strings.ContainsAny(s, " *?()'\"\\") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// means says whether a queue is like that, where it leads at the moment; name is what
// people call its destination.
func (l Likeness) means(d mail.Destination, name string, hop mail.Hop) bool {
	switch l.Kind {
	case "":
	case IDLocal:
		if kindOf(d, hop) != KindLocal {
			return false
		}
	case IDDeferred:
		if kindOf(d, hop) != KindDeferred {
			return false
		}
	default:
		return false
	}
	return (l.Destination == "" || filter.Glob(l.Destination, name) || d.Domain != "" && filter.Glob(l.Destination, d.Domain)) &&
		(l.NextHop == "" || filter.Glob(l.NextHop, hop.Name)) &&
		(l.Connector == "" || filter.Glob(l.Connector, hop.ConnectorName))
}

// Standing is a freeze of all queues that are alike, those to come included. A queue
// that the map leads elsewhere is judged anew.
type Standing struct {
	Like Likeness `json:"like"`
	Note Note     `json:"note"`

	means func(Key, mail.Hop) bool
}

// liken finds the standing freeze that stops a queue where it leads now.
func (s *Scheduler) liken(q *queue) {
	q.like = nil
	for i := range s.control.standing {
		if st := &s.control.standing[i]; st.means(q.key, q.hop) {
			q.like = st
			return
		}
	}
}

// SetStanding replaces the standing freezes.
func (s *Scheduler) SetStanding(list []Standing, now int64) {
	s.control.standing = list
	for _, q := range s.sorted() {
		s.route(q, q.hop, now)
		s.poke(q, now)
	}
}

// StandingInfo is a standing freeze and what it stops now.
type StandingInfo struct {
	Standing
	Queues   int
	Messages int64
}

var errNoLikeness = errors.New("a standing freeze needs a destination, a next hop or a connector")

// judged completes what was kept: the words of people are known to the runner only.
func (r *Runner) judged(list []Standing) []Standing {
	list = slices.Clone(list)
	for i := range list {
		like := list[i].Like
		list[i].means = func(k Key, hop mail.Hop) bool {
			return like.means(k.Destination, r.c.Describe(k.Destination), hop)
		}
	}
	return list
}

// Alike lists the queues that are alike now.
func (r *Runner) Alike(l Likeness) (list []Info) {
	for _, q := range r.List() {
		if q.name == "" {
			continue
		}
		key, err := ParseName(q.name)
		if err == nil && l.means(key.Destination, r.c.Describe(key.Destination), r.hop(key)) {
			list = append(list, q)
		}
	}
	return list
}

// Standing lists the standing freezes, in the order in which they were given.
func (r *Runner) Standing() []StandingInfo {
	r.ctlMu.Lock()
	list := r.ctl.Standing
	r.ctlMu.Unlock()
	out := make([]StandingInfo, len(list))
	for i, st := range list {
		out[i].Standing = st
		for _, q := range r.Alike(st.Like) {
			out[i].Queues++
			out[i].Messages += q.Messages
		}
	}
	return out
}

// maxStanding bounds the standing freezes: each is asked about each queue.
const maxStanding = 256

// FreezeLike stops all queues that are alike, those to come included, until ThawLike,
// over restarts too. It returns when that is on disk; changed is false if it stood already.
func (r *Runner) FreezeLike(l Likeness, note Note) (changed bool, err error) {
	if l == (Likeness{}) {
		return false, errNoLikeness
	}
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Standing = slices.Clone(r.ctl.Standing)
	i := slices.IndexFunc(next.Standing, func(s Standing) bool { return s.Like == l })
	if i < 0 {
		if len(next.Standing) >= maxStanding {
			return false, fmt.Errorf("there are %d standing freezes already: thaw some, or use patterns", maxStanding)
		}
		next.Standing, i, changed = append(next.Standing, Standing{Like: l}), len(next.Standing), true
	}
	next.Standing[i].Note = note
	return changed, r.stand(next)
}

// ThawLike ends a standing freeze; found is false if there was none like that.
func (r *Runner) ThawLike(l Likeness) (found bool, err error) {
	r.lockOrders()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Standing = slices.DeleteFunc(slices.Clone(r.ctl.Standing), func(s Standing) bool { return s.Like == l })
	if len(next.Standing) == len(r.ctl.Standing) {
		return false, nil
	}
	return true, r.stand(next)
}

// stand keeps the standing freezes and makes them so. ctlMu must be held.
func (r *Runner) stand(next stopOrders) error {
	if err := r.keep(next); err != nil {
		return err
	}
	list := r.judged(next.Standing)
	r.do(func(now int64) { r.sched.SetStanding(list, now) })
	return nil
}
