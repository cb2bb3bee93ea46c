package dsn

import (
	"fmt"
	"strings"
)

// words writes part one, for a human.
func (w *writer) words() string {
	in := w.in
	b := &text{}
	b.paragraph("This is the mail server %s%s.", in.ReportingMTA, of(in.Organization))
	b.paragraph("%s", w.opening())
	if in.Envelope.From.IsZero() {
		b.paragraph("The message is itself a report, and its sender is not known. It is sent to you as the postmaster.")
	}
	for i := range in.Recipients {
		w.about(b, &in.Recipients[i])
	}
	w.facts(b)
	return b.String()
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
	case Relayed:
		return "Your message was handed to a server that does not report deliveries, for " + them + ". You will hear no more unless something goes wrong."
	}
	return "Your message could not be delivered to " + them + ". The server has given up."
}

func (w *writer) about(b *text, r *Recipient) {
	o := &r.Outcome
	name := r.Target.Address.String()
	if r.Target.Foreign != "" {
		name = r.Target.Foreign
	}
	b.line("  <%s>", name)
	if given := givenAddress(w.in, r); given != "" && given != name {
		b.indented("You wrote to " + given + ".")
	}
	if w.in.Kind >= Success {
		if host := remoteHost(o.Remote); host != "" && w.in.Kind == Relayed {
			b.indented("Handed to " + host + ".")
		}
		b.blank()
		return
	}
	a := advise(statusOf(w.in.Kind, o))
	b.indented(strings.TrimSpace(fmt.Sprintf("%s %s", statusOf(w.in.Kind, o), a.cause)))
	if a.cure != "" {
		b.indented(a.cure)
	}
	switch {
	case o.Reply != nil && o.Remote != "":
		b.indented("The server " + o.Remote + " said:")
		b.quoted(o.Reply.String())
	case o.Reply != nil:
		b.indented("The answer was:")
		b.quoted(o.Reply.String())
	case o.Text != "":
		b.indented("In detail: " + o.Text)
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
	b.line("For your administrator:")
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
	if w.in.Connector != "" {
		b.line("  Connector      %s", w.in.Connector)
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

func (t *text) wrap(indent, s string) {
	line := indent
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
