package pipeline

import (
	"time"

	"github.com/postroad/postroad/node/mail"
)

// event keeps one hand-over. Stages without a clock leave the time to it.
func (p *Pipeline) event(e mail.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Sent != nil {
		p.sent(&e)
	}
	p.cfg.Tracking.Record(e)
}

// received is the event of a message that was just accepted.
func (p *Pipeline) received(e *mail.Envelope) {
	peer := e.ClientName
	if !e.FromNode.IsZero() {
		peer = serverName(p.cfg.Catalog.Config(), e.FromNode)
	} else if e.ClientHost != "" {
		peer += " [" + e.ClientHost + "]"
	}
	p.event(mail.Event{
		At: e.Received, Kind: mail.EventReceive, Source: "SMTP", ID: e.ID, Origin: e.Origin, MessageID: e.MessageID,
		Sender: e.From.String(), Recipients: addresses(e.Recipients), Peer: peer, Size: e.Size,
	})
}

func addresses(list []mail.Recipient) []string {
	all := make([]string, len(list))
	for i, r := range list {
		all[i] = r.Address.String()
	}
	return all
}
