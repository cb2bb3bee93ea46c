package vserver

import (
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

func parseSender(from string) (mail.Address, error) {
	if from == "" {
		return mail.Address{}, nil
	}
	return mail.ParseAddress(from)
}

func (s *session) envelope(sender mail.Address, o *smtp.MailOptions) *mail.Envelope {
	e := &mail.Envelope{
		From:       sender,
		UTF8:       o.UTF8,
		RequireTLS: o.RequireTLS,
		Return:     string(o.Return),
		EnvelopeID: o.EnvelopeID,
		ClientName: s.conn.Hostname(),
		Account:    s.client.account,
		FromNode:   s.node,

		VirtualServer: s.rules().guid,
	}
	if s.client.ip.IsValid() {
		e.ClientHost = s.client.ip.String()
	}
	switch o.Body {
	case smtp.Body8BitMIME:
		e.Body = mail.Body8BitMIME
	case smtp.BodyBinaryMIME:
		e.Body = mail.BodyBinaryMIME
	}
	if p := s.passport; p != nil {
		e.Origin, e.Created, e.Visited, e.Connector = p.Origin, p.Created, p.Visited, p.Connector
		e.Priority, e.System, e.Account, e.Notified = p.Priority, p.System, p.Account, p.Notified
	}
	return e
}

func parseRecipient(to string) (mail.Address, error) {
	if strings.EqualFold(to, "postmaster") {
		return mail.Address{Local: to}, nil
	}
	return mail.ParseAddress(to)
}

func notify(list []smtp.DSNNotify) (n mail.Notify) {
	for _, v := range list {
		switch v {
		case smtp.DSNNotifyNever:
			n |= mail.NotifyNever
		case smtp.DSNNotifySuccess:
			n |= mail.NotifySuccess
		case smtp.DSNNotifyFailure:
			n |= mail.NotifyFailure
		case smtp.DSNNotifyDelayed:
			n |= mail.NotifyDelay
		}
	}
	return n
}
