package dsn

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// words writes part one, for a human.
func (w *writer) words() string {
	in := w.in
	b := &text{}
	b.paragraph("This is the mail server %s%s.", in.ReportingMTA, of(in.Organization))
	b.paragraph("%s", w.opening())
	w.which(b)
	for i := range in.Recipients {
		w.about(b, &in.Recipients[i])
	}
	b.line("For your administrator:")
	b.blank()
	for i := range in.Recipients {
		w.detail(b, &in.Recipients[i])
	}
	w.way(b)
	w.facts(b)
	return b.String()
}

// which says which message it is.
func (w *writer) which(b *text) {
	subject, sent := subjectOf(header(w.in.Original)), fieldsOf(header(w.in.Original), "Date")
	if subject != "" {
		b.wrap("  Subject: ", subject)
	}
	if len(sent) > 0 {
		b.wrap("  Sent:    ", sent[0])
	}
	if subject != "" || len(sent) > 0 {
		b.blank()
	}
}

func of(organization string) string {
	if organization == "" {
		return ""
	}
	return " of " + organization
}

func (w *writer) opening() string {
	them := "this recipient"
	if len(w.in.Recipients) > 1 {
		them = "these recipients"
	}
	switch w.in.Kind {
	case Delay:
		s := "Your message has not been delivered yet to " + them + ". You need not send it again: the server goes on trying"
		if !w.in.Until.IsZero() {
			s += " until " + date(w.in.Until)
		}
		return s + "."
	case Success:
		return "Your message was delivered to " + them + "."
	case Expanded:
		list := "this distribution list"
		if len(w.in.Recipients) > 1 {
			list = "these distribution lists"
		}
		return "Your message was delivered to " + list + ", and passed on to the members. You will hear no more unless something goes wrong."
	case Relayed:
		if w.traced() {
			return "Your message was passed on for " + them + ". You asked to be told of that when you set the time for its delivery."
		}
		return "Your message was handed to a server that does not report deliveries, for " + them + ". You will hear no more unless something goes wrong."
	}
	if w.in.Envelope.From.IsZero() {
		return "A message that has no sender, as reports have none, could not be delivered to " + them + " and cannot be returned to anybody. It is kept in the badmail folder of this server; you are told as its postmaster."
	}
	return "Your message could not be delivered to " + them + ". The server has given up."
}

// traced says whether the report is due for the trace alone (RFC 2852 section 4).
func (w *writer) traced() bool {
	for _, r := range w.in.Recipients {
		if !r.Outcome.Traced || r.Outcome.Relayed {
			return false
		}
	}
	return true
}

// about is what the sender needs to know of a recipient.
func (w *writer) about(b *text, r *Recipient) {
	name := nameOf(r)
	b.line("  <%s>", name)
	if given := givenAddress(w.in, r); given != "" && given != name {
		b.indented("You wrote to " + given + ".")
	}
	if w.in.Kind >= Success {
		b.indented(w.done(&r.Outcome))
		b.blank()
		return
	}
	cause, cure := w.counsel(statusOf(w.in.Kind, &r.Outcome))
	b.indented(cause)
	if reply := r.Outcome.Reply; reply != nil && reply.Text() != "" && w.in.Kind == Failure {
		who := "It"
		if host := remoteHost(r.Outcome.Remote); host != "" {
			who = "The server " + host
		}
		b.indented(who + " gave this reason: " + reply.Text())
	}
	if cure != "" && !w.in.Envelope.From.IsZero() { // it is for the sender
		b.indented(cure)
	}
	b.blank()
}

// done says when, and to whom, a success came about.
func (w *writer) done(o *mail.Outcome) string {
	what := map[Kind]string{Success: "Delivered", Relayed: "Handed on", Expanded: "Passed on to the members"}[w.in.Kind]
	if host := remoteHost(o.Remote); host != "" && w.in.Kind == Relayed {
		what = "Handed to " + host
	}
	if o.At.IsZero() {
		return what + "."
	}
	return what + " on " + date(o.At) + "."
}

// ifLasting begins advice for mail that waits. All other advice is for who has the
// message back: to send it again while it is still tried would only make a second one.
const ifLasting = "If this goes on"

func (w *writer) counsel(s mail.Status) (cause, cure string) {
	a := advise(s)
	switch {
	case w.in.Kind != Delay:
		return a.Cause, a.Cure
	case s == mail.StatusExpired:
		return "The time that you set for its delivery is over.", ""
	case strings.HasPrefix(a.Cure, ifLasting):
		return a.Cause, a.Cure
	}
	return a.Cause, ""
}

func nameOf(r *Recipient) string {
	if r.Target.Foreign != "" {
		return r.Target.Foreign
	}
	return r.Target.Address.String()
}

// detail is what an administrator needs to know of it.
func (w *writer) detail(b *text, r *Recipient) {
	o := &r.Outcome
	if w.in.Kind >= Success && w.in.Kind != Relayed {
		return // there was no other server
	}
	s := statusOf(w.in.Kind, o)
	b.line("  <%s>  %s", nameOf(r), s)
	if o.Connector != "" {
		b.indented("Connector: " + o.Connector)
	}
	at := ""
	if !o.At.IsZero() {
		at = " on " + date(o.At)
	}
	switch {
	case o.Reply != nil && o.Remote != "":
		b.indented("The server " + o.Remote + " said" + at + ":")
		b.quoted(o.Reply.String())
	case o.Reply != nil:
		b.indented("The answer was" + at + ":")
		b.quoted(o.Reply.String())
	case o.Remote != "":
		b.indented("Last tried at " + o.Remote + at + ".")
	case at != "":
		b.indented("Last tried" + at + ".")
	}
	if o.Text != "" && (o.Reply == nil || o.Text != o.Reply.String()) {
		b.indented("In detail: " + o.Text)
	}
	if check := advise(s).Check; check != "" && w.in.Kind <= Delay && !(w.in.Kind == Delay && s == mail.StatusExpired) {
		b.indented("Hint: " + strings.ReplaceAll(forAddress(check, nameOf(r)), "`", ""))
	}
	b.blank()
}

// forAddress puts the address in question into a command that is given as a hint,
// unless it holds what a shell would take for its own: who sends mail chooses addresses,
// and an administrator copies commands.
func forAddress(hint, address string) string {
	if strings.ContainsFunc(address, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("@.-_+", c)
	}) || strings.HasPrefix(address, "-") {
		return hint
	}
	return strings.ReplaceAll(hint, "ADDRESS", address)
}

// way lists the hosts that the message came by, with the times of their clocks.
func (w *writer) way(b *text) {
	list := passes(header(w.in.Original))
	if len(list) == 0 {
		return
	}
	b.line("  The message came by:")
	for i := range list {
		var before *pass
		if i > 0 {
			before = &list[i-1]
		}
		b.wrap(fmt.Sprintf("    %d. ", i+1), list[i].line(before))
	}
	b.blank()
}

// givenAddress is the RCPT that the recipient comes from.
func givenAddress(in *Input, r *Recipient) string {
	if i := r.Target.Recipient; i >= 0 && i < len(in.Envelope.Recipients) {
		return in.Envelope.Recipients[i].Address.String()
	}
	return ""
}

// facts are for the administrator whom the sender may ask.
func (w *writer) facts(b *text) {
	env := w.in.Envelope
	if env.MessageID != "" {
		b.line("  Message-ID     <%s>", env.MessageID)
	}
	b.line("  Queue ID       %s", env.ID)
	if !env.Origin.IsZero() && env.Origin != env.ID {
		b.line("  First queue ID %s", env.Origin)
	}
	if !env.Created.IsZero() {
		b.line("  First accepted %s", date(env.Created))
	}
	if !env.Received.IsZero() {
		b.line("  Accepted here  %s", date(env.Received))
	}
	b.line("  Server         %s", w.in.ReportingMTA)
}

// width of the human part, in characters.
const width = 72

// text wraps words into lines.
type text struct{ strings.Builder }

// line writes one line. Whatever it quotes from elsewhere cannot end it, nor
// make it longer than a line may be.
func (t *text) line(format string, args ...any) {
	t.WriteString(cut(clean(fmt.Sprintf(format, args...), false)) + "\r\n")
}

func (t *text) blank() { t.WriteString("\r\n") }

func (t *text) paragraph(format string, args ...any) {
	t.wrap("", fmt.Sprintf(format, args...))
	t.blank()
}

func (t *text) indented(s string) { t.wrap("    ", s) }

func (t *text) quoted(s string) { t.wrap("      ", s) }

// wrap writes words into lines; what is not blank in first stands in the first alone.
func (t *text) wrap(first, s string) {
	line, indent := first, strings.Repeat(" ", len(first))
	for word := range strings.FieldsSeq(s) {
		word = cut(word)
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			t.line("%s", line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	t.line("%s", line)
}
