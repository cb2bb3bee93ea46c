package dsn

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Notice is what the postmaster is told of a message that was set aside. All of the
// message but its ID may be unknown.
type Notice struct {
	Postmaster   mail.Address
	ReportingMTA string // FQDN of this server
	Organization string // may be empty
	Server       string // name of the Server object
	ID           mail.ID
	Now          time.Time

	Message    mail.ID // its queue ID
	Origin     mail.ID
	MessageID  string
	Sender     string
	Recipients []string // empty: the envelope cannot be read
	Size       int64    // octets
	At         time.Time
	Reason     string // what cannot be read
	Crashed    bool   // it can be read, but crashes what processes it
}

// maxNamed is how many recipients a notice names.
const maxNamed = 20

// Write gives the notice with an envelope ready to be submitted. It is no report in
// the sense of RFC 3464: there may be no recipient to report on, and it does not
// go to the sender.
func (n Notice) Write() ([]byte, mail.Envelope) {
	b := &text{}
	from := mail.Address{Local: "postmaster", Domain: n.ReportingMTA}
	if n.Postmaster.IsASCII() {
		from = n.Postmaster
	}
	b.line("From: Mail Delivery System <%s>", from)
	b.line("To: %s", n.Postmaster)
	b.line("Subject: %s", n.subject())
	b.line("Date: %s", date(n.Now))
	b.line("Message-ID: <%s@%s>", n.ID, n.ReportingMTA)
	b.line("Auto-Submitted: auto-generated") // RFC 3834 section 5
	b.line("MIME-Version: 1.0")
	b.line("Content-Type: text/plain; charset=utf-8")
	words := n.words()
	b.line("Content-Transfer-Encoding: %s", encodingOf(words))
	b.blank()
	b.WriteString(words)
	content := []byte(b.String())
	env := mail.Envelope{
		ID: n.ID, Origin: n.ID, MessageID: n.ID.String() + "@" + n.ReportingMTA,
		Received: n.Now, Created: n.Now, Size: int64(len(content)),
		// RFC 3461 section 5.2: the postmaster is told in a way that makes no reports.
		Recipients: []mail.Recipient{{Address: n.Postmaster, Notify: mail.NotifyNever}},
		UTF8:       !n.Postmaster.IsASCII(), System: true,
	}
	if !isASCII(content) {
		env.Body = mail.Body8BitMIME
	}
	return content, env
}

func (n Notice) subject() string {
	if n.Crashed {
		return "A message was set aside: the server fails at it"
	}
	return "A message was set aside: it cannot be read"
}

func (n Notice) words() string {
	b := &text{}
	b.paragraph("This is the mail server %s%s.", n.ReportingMTA, of(n.Organization))
	if n.Crashed {
		b.paragraph("A message that this server has accepted brings out a fault of the program: what processed it crashed, twice. It is kept, but no longer tried, and does not expire. %s", n.nobody())
	} else {
		b.paragraph("A message that this server has accepted cannot be read from its disk any more. What is left of it is kept, but not tried, and does not expire. %s", n.nobody())
	}
	fact := func(name, value string) {
		if value != "" {
			b.wrap(fmt.Sprintf("  %-14s ", name), value)
		}
	}
	fact("Queue ID", n.Message.String())
	if !n.Origin.IsZero() && n.Origin != n.Message {
		fact("First queue ID", n.Origin.String())
	}
	if n.MessageID != "" {
		fact("Message-ID", "<"+n.MessageID+">")
	}
	fact("Accepted", date(n.Message.Time()))
	fact("Set aside", date(n.At))
	if len(n.Recipients) == 0 {
		fact("Envelope", "cannot be read: sender and recipients are not known. The tracking log may know them.")
	} else {
		if n.null() {
			fact("Sender", "none, as reports have none")
		} else {
			fact("Sender", "<"+n.Sender+">")
		}
		for i, r := range n.Recipients {
			if i == maxNamed {
				fact("", fmt.Sprintf("and %d more", len(n.Recipients)-i))
				break
			}
			fact(map[bool]string{true: "Recipients"}[i == 0], "<"+r+">")
		}
		fact("Size", fmt.Sprintf("%d octets", n.Size))
	}
	fact(map[bool]string{false: "Cannot be read", true: "Fault"}[n.Crashed], n.Reason)
	b.blank()
	b.line("What to do:")
	b.blank()
	n.steps(b)
	b.paragraph("You are told once of each such message.")
	return b.String()
}

// null says whether the message is known to have come without a sender's address.
func (n Notice) null() bool { return n.Sender == "" && len(n.Recipients) > 0 }

// nobody says who does not know yet.
func (n Notice) nobody() string {
	if n.null() {
		return "Nobody else has been told. It is a report, or like one: it has no sender, and those whom it is for do not know that it exists."
	}
	return "Nobody else has been told: its sender believes it to be on its way."
}

// steps are what can be done, each with its command on a line of its own.
func (n Notice) steps(b *text) {
	id, at := n.Message.String(), " --node "+n.Server
	whom := "the sender"
	if n.null() {
		whom = "those whom it is for"
	}
	i := 0
	step := func(what string, commands ...string) {
		i++
		b.wrap(fmt.Sprintf("  %d. ", i), what)
		for _, c := range commands {
			b.line("       %s", c)
		}
	}
	step("See what happened to it before:", "postroadctl track follow "+id+at)
	if n.Crashed {
		step("Report the fault, with the log line message_crashed of that time.")
		step("With a version that does not have it, try again:", "postroadctl queue retry poison"+at)
		step("Or tell "+whom+", and delete it:", "postroadctl queue quarantine delete "+id+at)
	} else {
		step("Look for a failing disk in the log of the system, and at what else is hurt:", "postroadctl queue quarantine list"+at)
		step("When the disk is mended, or the data folder brought back from a copy, have it tried again:", "postroadctl queue quarantine release "+id+at)
		step("If it cannot be saved, tell "+whom+", and delete it:", "postroadctl queue quarantine delete "+id+at)
	}
	b.blank()
}
