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
	groupOf := make(map[string]string)
	for _, s := range o.servers {
		groupOf[s.name] = s.group
	}
	all := make(map[string][]mailbox)
	for _, obj := range o.objects {
		r := obj.GetRecipient()
		m := r.GetMailbox()
		if m == nil || len(r.GetAddresses()) == 0 || m.GetForwardTo() != "" || groupOf[m.GetHomeServer()] == "" {
			continue
		}
		g := groupOf[m.GetHomeServer()]
		all[g] = append(all[g], mailbox{strings.TrimPrefix(r.GetAddresses()[0], "SMTP:"), m.GetHomeServer(), g})
	}
	return all
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
	var walk func(names []string)
	walk = func(names []string) {
		for _, n := range names {
			r := byName[n]
			if r == nil || reached[n] {
				continue
			}
			reached[n] = true
			walk(r.GetGroup().GetMembers())
		}
	}
	walk(group.GetMembers())
	var all []mailbox
	for _, boxes := range o.mailboxes() {
		for _, b := range boxes {
			for n := range reached {
				if r := byName[n]; r.GetMailbox() != nil && strings.TrimPrefix(r.GetAddresses()[0], "SMTP:") == b.address {
					all = append(all, b)
				}
			}
		}
	}
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
			best, address, members = len(groups), strings.TrimPrefix(r.GetAddresses()[0], "SMTP:"), m
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
