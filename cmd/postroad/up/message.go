package up

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// mailbox is a recipient of the organisation that mail can be sent to and from.
type mailbox struct {
	address, server, group string
}

// mailboxes lists the mailboxes by group.
func (o *organization) mailboxes() map[string][]mailbox {
	all := make(map[string][]mailbox)
	for _, obj := range o.objects {
		if m, ok := o.mailbox(obj.GetRecipient()); ok {
			all[m.group] = append(all[m.group], m)
		}
	}
	return all
}

// mailbox says where a recipient's mail ends; false if it is no mailbox here.
func (o *organization) mailbox(r *directoryv1.Recipient) (mailbox, bool) {
	m := r.GetMailbox()
	if m == nil || len(r.GetAddresses()) == 0 || m.GetForwardTo() != "" {
		return mailbox{}, false
	}
	i := slices.IndexFunc(o.servers, func(s server) bool { return s.name == m.GetHomeServer() })
	if i < 0 {
		return mailbox{}, false
	}
	return mailbox{primary(r), m.GetHomeServer(), o.servers[i].group}, true
}

// primary is a recipient's first address without its type.
func primary(r *directoryv1.Recipient) string {
	return strings.TrimPrefix(r.GetAddresses()[0], "SMTP:")
}

// members are the mailboxes that a distribution group reaches in the end.
func (o *organization) members(group *directoryv1.DistributionGroup) []mailbox {
	byName := make(map[string]*directoryv1.Recipient)
	for _, obj := range o.objects {
		if r := obj.GetRecipient(); r != nil {
			byName[obj.GetMetadata().GetName()] = r
		}
	}
	reached := make(map[string]bool)
	var all []mailbox
	var walk func(names []string)
	walk = func(names []string) {
		for _, n := range names {
			if reached[n] {
				continue
			}
			reached[n] = true
			if m, ok := o.mailbox(byName[n]); ok {
				all = append(all, m)
			}
			walk(byName[n].GetGroup().GetMembers())
		}
	}
	walk(group.GetMembers())
	return all
}

// everyone is the distribution group that reaches the most routing groups.
func (o *organization) everyone() (address string, members []mailbox) {
	best := 0
	for _, obj := range o.objects {
		r := obj.GetRecipient()
		if r.GetGroup() == nil || len(r.GetAddresses()) == 0 {
			continue
		}
		m := o.members(r.GetGroup())
		groups := make(map[string]bool)
		for _, b := range m {
			groups[b.group] = true
		}
		if len(groups) > best {
			best, address, members = len(groups), primary(r), m
		}
	}
	return address, members
}

// letter is one message that `up` sends.
type letter struct {
	from mailbox
	to   string
	id   string // Message-ID without brackets
	// expected are the mailboxes in which a copy must appear.
	expected []mailbox
}

func newLetter(from mailbox, to string, expected ...mailbox) letter {
	_, domain, _ := strings.Cut(from.address, "@")
	return letter{from: from, to: to, id: uuid.NewString() + "@" + domain, expected: expected}
}

// send hands the letter to the sender's own server, as a mail program would.
func (c *cluster) send(ctx context.Context, l letter) error {
	i := slices.IndexFunc(c.org.servers, func(s server) bool { return s.name == l.from.server })
	address := c.org.servers[i].smtp
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	client := smtp.NewClient(conn)
	defer client.Close()
	text := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: A letter from %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n\r\nPostroad carried this letter from %s.\r\n",
		l.from.address, l.to, l.from.group, time.Now().Format(time.RFC1123Z), l.id, l.from.group)
	if err := client.SendMail(l.from.address, []string{l.to}, strings.NewReader(text)); err != nil {
		return fmt.Errorf("%s refused a message from %s to %s: %w", l.from.server, l.from.address, l.to, err)
	}
	return client.Quit()
}
