package directory

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// PortODMR is that of ATRN (RFC 2645 section 4).
const PortODMR = 366

// Bounds of dequeue.interval; it is in whole minutes.
const (
	minDequeueInterval = time.Minute
	maxDequeueInterval = 24 * time.Hour
	// A schedule without an interval asks in each of its quarters of an hour.
	quarterHour = 15 * time.Minute
)

// Dequeuing is how a connector fetches mail from a provider, with the defaults
// filled in.
type Dequeuing struct {
	Method        directoryv1.DequeueMethod
	Host          string // with port
	What          []string
	Credentials   *directoryv1.OutboundCredentials // nil: none
	Week          *Week                            // nil: always
	Interval      time.Duration                    // 0: not by the clock
	WithDelivery  bool
	VirtualServer string
}

// Dequeuing of a connector; ok is false if it fetches nothing.
func (c *Configuration) Dequeuing(s *directoryv1.SMTPConnector) (d Dequeuing, ok bool) {
	q := s.GetDequeue()
	if q == nil {
		return d, false
	}
	d = Dequeuing{
		Method: q.GetMethod(), What: q.GetDomains(), Credentials: dequeueCredentials(s), Interval: q.GetInterval().AsDuration(),
		WithDelivery: q.GetWithDelivery(), VirtualServer: q.GetVirtualServer(), Host: dequeueHost(s),
	}
	switch name := q.GetSchedule(); {
	case name != "":
		d.Week = c.week(name)
		d.Interval = durationOr(q.GetInterval(), quarterHour)
	case d.Interval == 0:
		d.Week = c.week(ScheduleNever)
	}
	return d, true
}

// dequeueHost is the provider with its port; "" if none is named.
func dequeueHost(s *directoryv1.SMTPConnector) string {
	q, host := s.GetDequeue(), s.GetDequeue().GetHost()
	if host == "" && len(s.GetSmartHosts()) > 0 {
		host = s.GetSmartHosts()[0]
		if q.GetMethod() == directoryv1.DequeueMethod_DEQUEUE_METHOD_ATRN {
			host, _ = splitSmartHost(host) // its port is that of mail
		}
	}
	name, port := splitSmartHost(host)
	if name == "" || port != "" {
		return host
	}
	port = strconv.Itoa(PortSMTP)
	if q.GetMethod() == directoryv1.DequeueMethod_DEQUEUE_METHOD_ATRN {
		port = strconv.Itoa(PortODMR)
	}
	return net.JoinHostPort(strings.TrimPrefix(strings.Trim(name, "[]"), "IPv6:"), port)
}

// dequeueCredentials are the connector's own only for a host that it sends to: a
// password is not for others.
func dequeueCredentials(s *directoryv1.SMTPConnector) *directoryv1.OutboundCredentials {
	q := s.GetDequeue()
	if q.GetCredentials() != nil {
		return q.GetCredentials()
	}
	host, _ := splitSmartHost(q.GetHost())
	if host == "" || slices.ContainsFunc(s.GetSmartHosts(), func(h string) bool {
		name, _ := splitSmartHost(h)
		return strings.EqualFold(name, host)
	}) {
		return s.GetCredentials()
	}
	return nil
}

// dequeue checks what is to be asked of a provider.
func (c *checker) dequeue(s *directoryv1.SMTPConnector) {
	q := s.GetDequeue()
	if q == nil {
		return
	}
	host := q.GetHost()
	switch {
	case host != "":
		c.smartHost("dequeue.host", host)
	case len(s.GetSmartHosts()) == 0:
		c.failf("dequeue.host", "is missing, and the connector has no smart host; write the provider's host")
	}
	if cr := q.GetCredentials(); cr != nil {
		c.credentials("dequeue.credentials", cr, s.GetTls())
	}
	c.dequeueWhat(q, dequeueCredentials(s) != nil)
	c.scheduleNamed("dequeue.schedule", q.GetSchedule())
	c.dequeueInterval(q)
	if v := q.GetVirtualServer(); v != "" {
		c.references("dequeue.virtualServer", KindVirtualServer, v, c.virtualServers[v] != nil)
	}
}

func (c *checker) dequeueWhat(q *directoryv1.Dequeue, proven bool) {
	etrn := q.GetMethod() == directoryv1.DequeueMethod_DEQUEUE_METHOD_ETRN
	switch q.GetMethod() {
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_UNSPECIFIED:
		c.failf("dequeue.method", "is missing; write ETRN, ATRN or TURN")
		return
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_ETRN:
		if len(q.GetDomains()) == 0 {
			c.failf("dequeue.domains", "are missing; write the domains that ETRN shall name")
		}
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_TURN:
		if len(q.GetDomains()) > 0 {
			c.failf("dequeue.domains", "cannot be named with TURN; leave them out, or use ATRN")
		}
	}
	if !etrn && !proven {
		// RFC 2645 section 5, RFC 5321 appendix F.1.
		c.failf("dequeue.credentials", "are missing; %s goes to a provider that knows who asks", methodWord(q.GetMethod()))
	}
	for i, d := range q.GetDomains() {
		name := d
		if etrn {
			if queue, named := strings.CutPrefix(d, "#"); named && queue != "" && !strings.ContainsAny(queue, " \t\r\n") {
				continue
			}
			name = strings.TrimPrefix(d, "@")
		}
		if err := checkDomain(name); err != nil {
			c.failf(item("dequeue.domains", i), "is %q, must be a domain (with ETRN also @domain or #queue); correct it", d)
		}
	}
}

func methodWord(m directoryv1.DequeueMethod) string {
	return strings.TrimPrefix(m.String(), "DEQUEUE_METHOD_")
}

func (c *checker) dequeueInterval(q *directoryv1.Dequeue) {
	if q.GetInterval() == nil {
		return
	}
	d := q.GetInterval().AsDuration()
	if q.GetInterval().CheckValid() != nil || d < minDequeueInterval || d > maxDequeueInterval || d%time.Minute != 0 {
		c.failf("dequeue.interval", "must be whole minutes from 1m to 24h; correct it")
	}
}
