package queue

// concurrency bounds the connections of a link by what its next hop takes, as TCP
// does with segments. It begins at firstWindow and grows by one with each success
// until the first trouble, so a healthy hop soon has all it may; trouble halves it,
// and from there it grows by one for each growAfter successes, or as many as it is
// wide. It is never below 1 nor above the limit.
type concurrency struct {
	window  int
	answers int  // successes since the window changed
	careful bool // there was trouble: no quick growth any more
	halved  bool // since the last success
	// troubles since it was halved: those of one window are one, as in one round trip.
	troubles int
}

const (
	firstWindow = 2
	growAfter   = 32
)

func newConcurrency(limit int) concurrency { return concurrency{window: min(firstWindow, limit)} }

// succeeded notes a message that the next hop answered well.
func (c *concurrency) succeeded(limit int) {
	c.halved = false
	c.answers++
	if c.window < limit && (!c.careful || c.answers >= max(growAfter, c.window)) {
		c.window++
		c.answers = 0
	}
	c.window = max(min(c.window, limit), 1)
}

// failed notes that the next hop refused or broke a connection, or put a message
// off.
func (c *concurrency) failed() {
	c.careful, c.answers = true, 0
	if c.troubles++; !c.halved || c.troubles >= c.window {
		c.halved, c.troubles, c.window = true, 0, max(c.window/2, 1)
	}
}

// surplus says whether a connection is one more than its link may have now, or has to
// make room for another link; then it gets nothing more and is to close.
func (s *Scheduler) surplus(c *conn, now int64) bool {
	l := c.link
	switch {
	case c.leaving || s.yields(c, false, now):
	case !c.handed && l.verdict == nil && len(l.conns)-l.leaving > min(l.concurrency.window, s.perLink(l)):
		c.leave()
	}
	return c.leaving
}

func (c *conn) leave() {
	c.leaving = true
	c.link.leaving++
}
