package categorize

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Postmaster is where mail for the organisation's postmaster goes: the address
// written in the Organization, else postmaster at the first domain that is ours
// alone. There is none while the directory has no such domain.
func Postmaster(conf *directory.Configuration) (mail.Address, bool) {
	if a, err := mail.ParseAddress(conf.Organization().Spec.GetPostmaster()); err == nil {
		return a, true
	}
	if d := conf.FirstDomain(); d != "" {
		return mail.Address{Local: "postmaster", Domain: d}, true
	}
	return mail.Address{}, false
}

// Incomplete is a recipient of which something is missing in the directory. It may
// still arrive, so the message waits; Status is what its sender hears if it does not
// (the book, chapter 7, table 2).
type Incomplete struct {
	status mail.Status
	text   string
}

func incomplete(s mail.Status, format string, args ...any) error {
	return &Incomplete{s, fmt.Sprintf(format, args...)}
}

// Error says what is missing.
func (e *Incomplete) Error() string { return e.text }

// Status is 5.1.0 or 5.1.6.
func (e *Incomplete) Status() mail.Status { return e.status }

func (r *run) toMailbox(o *directoryv1.Object, home string) error {
	name := o.GetMetadata().GetName()
	guid, err := mail.ParseGUID(o.GetMetadata().GetGuid())
	if err != nil {
		return fmt.Errorf("mailbox %s: %w", name, err)
	}
	server, ok := r.conf.Server(home)
	if !ok {
		// Recipients and configuration arrive one after the other.
		return incomplete(mail.StatusMoved, "mailbox %s: its home server %q is not in the directory", name, home)
	}
	a := primary(o)
	if r.mailboxes[guid] {
		r.duplicate("mailbox "+name, a.String())
		return nil
	}
	if r.mailboxes == nil {
		r.mailboxes = map[mail.GUID]bool{}
	}
	r.mailboxes[guid] = true
	if r.say != nil { // spares each ordinary recipient the boxing of arguments
		r.tell("%s is mailbox %s on server %s", a, name, home)
	}
	d := mail.Destination{Place: mail.PlaceServer, Server: mail.GUID(server.GUID)}
	if mail.GUID(server.GUID) == r.c.self {
		d = mail.Destination{Place: mail.PlaceLocal}
	}
	r.add(mail.Target{Address: a, Mailbox: guid}, d)
	return nil
}

// toForeign adds a target outside. A connector that an earlier node chose
// stays chosen.
func (r *run) toForeign(key string, t mail.Target, d mail.Destination) {
	if r.foreign[key] {
		r.duplicate("address", key)
		return
	}
	if r.foreign == nil {
		r.foreign = map[string]bool{}
	}
	r.foreign[key] = true
	d.Place = mail.PlaceForeign
	if !d.Unresolved() { // no connector leads there
		d.Connector = r.env.Connector
	}
	r.add(t, d)
}

func (r *run) add(t mail.Target, d mail.Destination) {
	t.Destination = d
	t.Recipient, t.Notify = r.index, r.env.Recipients[r.index].Notify
	t.Original = r.original(t.Address)
	r.results++
	r.Targets = append(r.Targets, t)
}

// original is the ORCPT that goes with the message: the sender's, or the address
// the sender wrote if it is another now (RFC 3461 section 5.2.7.1).
func (r *run) original(now mail.Address) string {
	rcpt := &r.env.Recipients[r.index]
	switch {
	case rcpt.Original != "":
		return rcpt.Original
	case rcpt.Address == now:
		return ""
	}
	return rcpt.Address.Original()
}

func (r *run) fail(index int, a mail.Address, o mail.Outcome) {
	r.index = index
	r.results++
	r.Failed = append(r.Failed, Failure{
		Recipient: index, Address: a, Original: r.original(a), Notify: r.env.Recipients[index].Notify, Outcome: o,
	})
}

func (r *run) failLoop(a mail.Address) {
	r.tell("mail for %s would go round in a loop", a)
	r.fail(r.index, a, mail.Fail(mail.StatusForwardingLoop,
		fmt.Sprintf("Mail for %s is redirected in a loop. The administrator has to change a forwarding or target address.", a)))
}

func (r *run) duplicate(what, address string) {
	r.results++
	r.tell("%s is listed more than once and gets one copy", address)
	r.event(mail.EventDuplicate, what, address)
}

func (r *run) event(kind mail.EventKind, detail string, recipients ...string) {
	r.Events = append(r.Events, mail.Event{
		Kind: kind, Source: "CATEGORIZER", ID: r.env.ID, Origin: r.env.Origin, MessageID: r.env.MessageID,
		Sender: r.env.From.String(), Recipients: recipients, Detail: detail, Size: r.env.Size,
	})
}

func (r *run) tell(format string, args ...any) {
	if r.say != nil {
		r.say(format, args...)
	}
}

// primary is the first SMTP address of a recipient; its name stands in if there
// is none, so that reports can name it.
func primary(o *directoryv1.Object) mail.Address {
	for _, s := range o.GetRecipient().GetAddresses() {
		if typ, _ := mail.AddressType(s); typ != directory.TypeSMTP {
			continue
		}
		if a, err := mail.ParseAddress(trimType(s)); err == nil {
			return a
		}
	}
	return mail.Address{Local: o.GetMetadata().GetName()}
}

// trimType takes a written "SMTP:" off.
func trimType(s string) string {
	if len(s) > 5 && strings.EqualFold(s[:5], "smtp:") {
		return s[5:]
	}
	return s
}

func lower(s string) string { return strings.ToLower(s) }
