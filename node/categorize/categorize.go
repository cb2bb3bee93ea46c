package categorize

import (
	"fmt"
	"sync/atomic"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Directory is what the categorizer asks; the catalog of the node. An error
// means that it cannot tell now.
type Directory interface {
	// Config is the present configuration, never nil.
	Config() *directory.Configuration
	// Lookup finds a recipient by any of its addresses (directory.AddressKey).
	Lookup(addressKey string) (*directoryv1.Object, bool, error)
	// RecipientByName finds a recipient by its name.
	RecipientByName(name string) (*directoryv1.Object, bool, error)
	// GroupsOf names the groups that list a recipient themselves.
	GroupsOf(name string) ([]string, error)
	// Revision changes when anything of the directory does.
	Revision() int64
}

// Categorizer resolves recipients for one node. It is safe for many goroutines.
type Categorizer struct {
	dir   Directory
	self  mail.GUID
	known atomic.Pointer[senders]
}

// New builds the categorizer of the server with the GUID self.
func New(dir Directory, self mail.GUID) *Categorizer { return &Categorizer{dir: dir, self: self} }

// Failure is a recipient that will not get the message.
type Failure struct {
	Recipient int // index into Envelope.Recipients of the RCPT it comes from
	Address   mail.Address
	Original  string // as in mail.Target
	Notify    mail.Notify
	Outcome   mail.Outcome
}

// Target is the failure in the form that report writers take.
func (f Failure) Target() mail.Target {
	return mail.Target{Address: f.Address, Original: f.Original, Recipient: f.Recipient, Notify: f.Notify}
}

// Result is what became of an envelope's recipients. Each of them led to at
// least one target or failure, or to a target that another had led to before.
type Result struct {
	Targets []mail.Target
	Failed  []Failure
	// Expanded are the groups among the recipients whose senders asked to hear of
	// success: they hear of the expansion now, and not of each member's delivery (RFC
	// 3461 section 5.2.7, an alias with many recipients).
	Expanded []mail.Target
	// Events say what changed on the way: expansion, redirection, duplicates.
	// Their time is not set.
	Events []mail.Event
	// Sender is what connectors may ask about the sender.
	Sender mail.Sender
	// Shared: of Foresee alone, the targets are those of a group or of a mailbox that
	// forwards too, so there may be more.
	Shared bool
}

// Resolve resolves all recipients of an envelope. An error is temporary: the
// directory could not be asked, or is only half arrived; ask again later.
func (c *Categorizer) Resolve(env *mail.Envelope) (Result, error) {
	r := newRun(c, env)
	for i := range env.Recipients {
		if err := r.recipient(i); err != nil {
			return Result{}, fmt.Errorf("resolving %s: %w", env.Recipients[i].Address, err)
		}
	}
	r.limit()
	var err error
	r.Result.Sender, err = c.Sender(env.From)
	return r.Result, err
}

// Foresee is Resolve for one recipient, before its message is accepted: it stops at
// the first target. Without a target every way ends in a failure. Of groups it says
// no more than that.
func (c *Categorizer) Foresee(from, to mail.Address) (Result, error) {
	r := newRun(c, &mail.Envelope{From: from, Recipients: []mail.Recipient{{Address: to}}})
	r.glance = true
	if err := r.recipient(0); err != nil {
		return Result{}, err
	}
	r.Result.Shared = len(r.groups) > 0 || len(r.Targets)+len(r.Failed) > 1
	var err error
	if len(r.Targets) > 0 {
		r.Result.Sender, err = c.Sender(from)
	}
	return r.Result, err
}

// limit refuses a message with too many recipients as a whole, expanded groups
// counted in. It is the first node's business: later nodes see a part of the
// recipients only, and reports have to arrive.
func (r *run) limit() {
	if r.env.System || !r.env.FromNode.IsZero() {
		return
	}
	most := directory.MaxRecipients(r.conf.Organization().Spec)
	if len(r.Targets) <= most {
		return
	}
	why := fmt.Sprintf("The message has %d recipients when its distribution groups are expanded; the organisation allows %d.", len(r.Targets), most)
	r.Targets, r.Failed, r.Expanded = nil, nil, nil
	for i := range r.env.Recipients {
		r.fail(i, r.env.Recipients[i].Address, mail.Fail(mail.StatusTooMany, why))
	}
}
