package route

import (
	"strconv"
	"sync"
	"time"

	"github.com/postroad/postroad/routing"
)

// listed bounds the lines that tell of one change.
const listed = 16

// History tells what each new table changed. It is safe for concurrent use. The
// zero value has seen no table yet.
type History struct {
	mu   sync.Mutex
	last *view
}

// Change is one version of the table.
type Change struct {
	Version  uint64
	Time     time.Time
	Revision int64 // of the directory
	// Triggers is what changed since the version before, one line each.
	Triggers []string
	// Took is the time to build the table.
	Took time.Duration
	// Moved of all Destinations (servers and address spaces) have another next
	// hop; Examples are some of them, with the hop before and after.
	Moved, Destinations int
	Examples            []string
}

// Note compares the table that decides now with the one before, and says what
// changed; false if nothing did. at and took are when it was built and in what
// time. It is called from one goroutine, after mail has begun to use the table:
// comparing takes longer than deciding.
func (h *History) Note(r *Route, at time.Time, took time.Duration) (Change, bool) {
	now := r.now.Load()
	h.mu.Lock()
	before := h.last
	h.last = now
	h.mu.Unlock()
	c := Change{Version: now.table.Version(), Time: at, Revision: now.conf.Revision(), Took: took}
	if before == nil {
		c.Triggers = []string{"first table of this process"}
		return c, true
	}
	c.Triggers = triggers(before, now)
	if len(c.Triggers) == 0 {
		return c, false
	}
	c.compare(before, now)
	return c, true
}

func (c *Change) compare(before, after *view) {
	c.Destinations = routing.Moved(before.table, after.table, func(server routing.GUID, space string, a, b routing.Decision) {
		c.Moved++
		if len(c.Examples) == listed {
			return
		}
		what := space
		if what == "" {
			what = "server " + either(before, after, server)
		}
		c.Examples = append(c.Examples, what+": "+before.hopWords(&a)+" → "+after.hopWords(&b))
	})
}

// either names a server of two maps.
func either(before, after *view, server routing.GUID) string {
	for _, v := range []*view{after, before} {
		for i := range v.top.Servers {
			if s := &v.top.Servers[i]; s.GUID == server {
				return s.Name
			}
		}
	}
	return after.serverName(server)
}

// hopWords is a next hop in few words.
func (v *view) hopWords(d *routing.Decision) string {
	switch d.Kind {
	case routing.ToNode:
		if d.Via.IsZero() {
			return v.serverName(d.Next)
		}
		return v.serverName(d.Next) + " over " + v.connectorName(d.Via)
	case routing.Outbound:
		return "out over " + v.connectorName(d.Via)
	}
	return d.Kind.String()
}

// lines collects text up to a bound.
type lines struct {
	text []string
	more int
}

func (l *lines) add(s string) {
	if len(l.text) < listed {
		l.text = append(l.text, s)
	} else {
		l.more++
	}
}

func (l *lines) all() []string {
	if l.more > 0 {
		return append(l.text, "and "+strconv.Itoa(l.more)+" more")
	}
	return l.text
}
