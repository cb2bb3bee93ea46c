package queue

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// Store is what the runner needs of the spool; *spool.Spool is one. The errors
// are the spool's.
type Store interface {
	Plan(id spool.ID, plan []byte, entries []spool.Entry, posts []spool.Posting, reports ...spool.Incoming) error
	Settle(list ...spool.Settlement) (finished []bool, err error)
	Remove(id spool.ID, reports ...spool.Incoming) error
	End(id spool.ID, line spool.Line, posts []spool.Posting, reports ...spool.Incoming) error
	Load(id spool.ID) (spool.Stored, error)
	OpenBody(id spool.ID) (*spool.BodyReader, error)
	Submitted(after spool.ID, limit int) ([]spool.ID, error)
	Queues() ([]spool.QueueHead, error)
	SetAside(id spool.ID, note []byte, entries ...spool.Entry) error
	Release(id spool.ID) (entries []spool.Entry, submitted bool, err error)
	Aside() []spool.ID
	AsideNote(id spool.ID) ([]byte, error)
	SetAsideNote(id spool.ID, note []byte) error
	// Healed is when what could not be read was mended last, in whole seconds; zero: never.
	Healed() time.Time
	Entries(queue string, after spool.Position, limit int) ([]spool.QueueEntry, error)
	Weigh(queue string) spool.Weight
	Walk(from spool.ID, f func(id spool.ID, st *spool.Stored) (more bool, err error)) error
	// SetControl keeps durably what Control gives from then on.
	SetControl([]byte) error
	Control() ([]byte, error)
}

// Router gives the next hop of a queue.
type Router interface {
	// Hop answers for the routing table of this moment. It must be fast: a change
	// of the table asks it once for each queue. It must not call the runner.
	Hop(dest mail.Destination, class mail.Class, visited []mail.GUID) mail.Hop
	// Via is the hop straight to an SMTP host ("host:port").
	Via(host string, class mail.Class) mail.Hop
	// Bucket is the part of its destination's mail that a message belongs to, given
	// what travels with it: messages of different parts may go different ways.
	// 0 where that makes no difference.
	Bucket(dest mail.Destination, class mail.Class, visited []mail.GUID, origin mail.ID) uint8
	// Gone says why the host behind a hop is known not to answer, as far as the
	// table tells; "": nothing is known against it. It must be fast, too.
	Gone(hop mail.Hop) string
	// Subscribe has f called after each change of the table. f does not block.
	Subscribe(f func())
}

// Agent is the life of one connection.
type Agent interface {
	// Serve opens the connection, pulls transactions and reports each of them.
	// It calls feed.Next only on an open connection: the first call tells that
	// the next hop answered. nil means the connection ended in peace. A
	// *RejectError means that this hop will never take mail. Any other error is
	// a failed connection.
	Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error
}

// RejectError is an Agent's verdict on everything behind a hop: a domain that
// does not exist, one that accepts no mail (RFC 7505).
type RejectError struct{ Outcome mail.Outcome }

// Error is the outcome in words.
func (e *RejectError) Error() string { return e.Outcome.Text }

// Categorizer makes targets of an envelope's recipients. An error means that
// the directory cannot tell now; the message waits. If the error has a method
// Status() mail.Status, that is the status when the message has waited too long.
type Categorizer interface {
	Resolve(*mail.Envelope) (Plan, error)
}

// Plan is what the categorizer made of a message.
type Plan struct {
	Targets []mail.Target
	Failed  []Failure
	Events  []mail.Event // for message tracking, in order
	// Expanded are groups that were expanded, whose senders want to hear of success.
	Expanded []mail.Target
	// Sender is what connectors may ask about the sender.
	Sender mail.Sender
}

// Failure is a recipient that cannot be delivered to.
type Failure struct {
	Target  mail.Target
	Outcome mail.Outcome
}

// ReportKind says what a report is about.
type ReportKind uint8

// Kinds of report. ReportSuccess includes "relayed": Outcome.Relayed tells.
const (
	ReportFailure ReportKind = iota + 1
	ReportDelay
	ReportSuccess
	// ReportExpanded: a group was replaced by its members.
	ReportExpanded
)

// Reporter writes delivery status notifications.
type Reporter interface {
	// Report makes the messages due to the sender; none if the sender or NOTIFY
	// wants none. outcomes[i] belongs to targets[i]. The result is accepted
	// together with the outcomes. An error means: not now; the recipients stay
	// queued and are tried again.
	Report(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) ([]spool.Incoming, error)
	// SetAside has the postmaster hear of a message that was set aside, and returns
	// the ID of the notice that it accepted. An error means: not now.
	SetAside(Aside) (mail.ID, error)
}

// Aside is a message that was set aside, as its Reporter hears of it.
type Aside struct {
	ID mail.ID
	codec.Damage
}

// Readable says whether its envelope could be read.
func (a Aside) Readable() bool { return len(a.Recipients) > 0 }

// Config of a Runner. Store, Router, Agent, Categorizer and Reporter are needed.
type Config struct {
	Store       Store
	Router      Router
	Agent       Agent
	Categorizer Categorizer
	Reporter    Reporter

	// SizeLimits gives the connectors' size limits, sorted (octets); see
	// mail.SizeBound. nil: none.
	SizeLimits func() []int64
	// Events gets every hand-over. It does not block. nil: nobody.
	Events func(mail.Event)
	// Links hears of each connector that answered or failed to. It does not block.
	Links func(connector mail.GUID, ok bool, reason string)

	// Describe is what people call a destination; nil: its text. It is fast, and calls
	// nothing here.
	Describe func(mail.Destination) string

	// Rules hold, return or redirect messages from the start; see [Runner.SetRules].
	Rules []Rule

	Clock  Clock // zero fields: DefaultClock
	Limits Limits
	// Own are the terms of virtual servers that have theirs, in place of Clock and Limits;
	// see [Senders].
	Own map[mail.GUID]Terms
	// Connections to other hosts in all; see [Senders].
	Connections int
	// Workers categorize; 0: one for each processor.
	Workers int
	// DirectoryRetry is the first wait after a failed directory lookup; it doubles
	// up to a minute. 0: 1 s.
	DirectoryRetry time.Duration
	// DrainTimeout is how long Run, once ended, waits for what is in flight
	// before it breaks connections. 0: 10 s.
	DrainTimeout time.Duration

	Logger *zap.Logger      // nil: none
	Now    func() time.Time // nil: time.Now
}

func (c *Config) senders() Senders {
	return Senders{Default: Terms{Clock: c.Clock, Limits: c.Limits}, Own: c.Own, Connections: c.Connections}
}

// Limits bound what the scheduler opens and remembers. Zero fields: the defaults
// in brackets.
type Limits struct {
	Window        int // entries of one queue in memory (1000)
	Held          int // entries of all queues in memory, from which on each gets a few only (100000)
	Connections   int // in all of one virtual server (1000)
	PerLink       int // to one next hop, unless the hop says less (8)
	PerDomain     int // to the hosts that DNS names for one domain, over all connectors that the virtual server sends for (100)
	PerConnection int // waiting messages that justify one more connection (8)
	ProblemAfter  int // broken connections after which a message waits by itself (2)
	Cached        int // messages whose envelope and plan stay in memory (8192)
}

func (l Limits) fill() Limits {
	for _, f := range []struct {
		v *int
		d int
	}{
		{&l.Window, 1000}, {&l.Held, 100_000}, {&l.Connections, 1000}, {&l.PerLink, 8}, {&l.PerDomain, 100},
		{&l.PerConnection, 8}, {&l.ProblemAfter, 2}, {&l.Cached, 8192},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return l
}
