package codec

import (
	"fmt"
	"math"
	"time"

	"github.com/postroad/postroad/node/mail"
	spoolv1 "github.com/postroad/postroad/proto/postroad/spool/v1"
)

// EncodeEnvelope is the spool's form of an envelope. Times keep microseconds.
func EncodeEnvelope(e *mail.Envelope) []byte {
	p := &spoolv1.Envelope{
		Id:             id16(e.ID),
		Origin:         id16(e.Origin),
		MessageId:      text(e.MessageID),
		ReceivedUnixUs: micros(e.Received),
		CreatedUnixUs:  micros(e.Created),
		Size:           e.Size,
		FromLocal:      text(e.From.Local),
		FromDomain:     text(e.From.Domain),
		Body:           uint32(e.Body),
		LongLines:      e.LongLines,
		Utf8:           e.UTF8,
		Return:         text(e.Return),
		EnvelopeId:     text(e.EnvelopeID),
		Priority:       clamp(e.Priority),
		System:         e.System,
		ClientHost:     text(e.ClientHost),
		ClientName:     text(e.ClientName),
		Account:        text(e.Account),
		FromNode:       id16(e.FromNode),
		Hops:           uint32(max(e.Hops, 0)),
		Visited:        list16(e.Visited),
		Connector:      id16(e.Connector),

		RequireTls:      e.RequireTLS,
		MtPriority:      int32(min(max(e.MTPriority, mail.MinMTPriority), mail.MaxMTPriority)),
		DeliverByUnixMs: millis(e.DeliverBy.Deadline),
		DeliverByReturn: e.DeliverBy.Return,
		DeliverByTrace:  e.DeliverBy.Trace,
		HoldUntilUnixMs: millis(e.HoldUntil),
		HoldForS:        int64(e.HoldFor / time.Second),
		VirtualServer:   id16(e.VirtualServer),
		Notified:        e.Notified,
	}
	rcpts := make([]spoolv1.Recipient, len(e.Recipients))
	p.Recipients = make([]*spoolv1.Recipient, len(rcpts))
	for i := range e.Recipients {
		r := &e.Recipients[i]
		rcpts[i].Local, rcpts[i].Domain = text(r.Address.Local), text(r.Address.Domain)
		rcpts[i].Original, rcpts[i].Notify = text(r.Original), uint32(r.Notify)
		p.Recipients[i] = &rcpts[i]
	}
	return marshal(p)
}

// DecodeEnvelope reads what EncodeEnvelope writes; times come back in UTC.
func DecodeEnvelope(b []byte) (*mail.Envelope, error) {
	var p spoolv1.Envelope
	if err := unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	e, err := envelope(&p)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}

func envelope(p *spoolv1.Envelope) (*mail.Envelope, error) {
	e := &mail.Envelope{
		MessageID:  p.GetMessageId(),
		Received:   fromMicros(p.GetReceivedUnixUs()),
		Created:    fromMicros(p.GetCreatedUnixUs()),
		Size:       p.GetSize(),
		From:       mail.Address{Local: p.GetFromLocal(), Domain: p.GetFromDomain()},
		Body:       mail.BodyType(p.GetBody()),
		LongLines:  p.GetLongLines(),
		UTF8:       p.GetUtf8(),
		Return:     p.GetReturn(),
		EnvelopeID: p.GetEnvelopeId(),
		System:     p.GetSystem(),
		ClientHost: p.GetClientHost(),
		ClientName: p.GetClientName(),
		Account:    p.GetAccount(),
		Hops:       int(p.GetHops()),
		RequireTLS: p.GetRequireTls(),
		MTPriority: mail.MTPriority(p.GetMtPriority()),
		DeliverBy: mail.DeliverBy{
			Deadline: fromMillis(p.GetDeliverByUnixMs()), Return: p.GetDeliverByReturn(), Trace: p.GetDeliverByTrace(),
		},
		HoldUntil: fromMillis(p.GetHoldUntilUnixMs()),
		Notified:  p.GetNotified(),
	}
	if n := p.GetMtPriority(); n < int32(mail.MinMTPriority) || n > int32(mail.MaxMTPriority) {
		return nil, corrupt("mt_priority", fmt.Sprintf("%d is not within -9 and 9", n))
	}
	if p.GetBody() > uint32(mail.BodyBinaryMIME) {
		return nil, corrupt("body", fmt.Sprintf("%d is no body type", p.GetBody()))
	}
	if p.GetSize() < 0 {
		return nil, corrupt("size", "is negative")
	}
	if p.GetHops() > math.MaxInt32 {
		return nil, corrupt("hops", "is out of range")
	}
	var err error
	if e.HoldFor, err = interval("hold_for_s", p.GetHoldForS()); err != nil {
		return nil, err
	}
	if e.ID, err = parse16[mail.ID]("id", p.GetId()); err != nil {
		return nil, err
	}
	if e.Origin, err = parse16[mail.ID]("origin", p.GetOrigin()); err != nil {
		return nil, err
	}
	if e.Priority, err = priority(p.GetPriority()); err != nil {
		return nil, err
	}
	if e.FromNode, err = parse16[mail.GUID]("from_node", p.GetFromNode()); err != nil {
		return nil, err
	}
	if e.VirtualServer, err = parse16[mail.GUID]("virtual_server", p.GetVirtualServer()); err != nil {
		return nil, err
	}
	if e.Visited, err = parseList16[mail.GUID]("visited", p.GetVisited()); err != nil {
		return nil, err
	}
	if e.Connector, err = parse16[mail.GUID]("connector", p.GetConnector()); err != nil {
		return nil, err
	}
	e.Recipients, err = recipients(p.GetRecipients())
	return e, err
}

func recipients(ps []*spoolv1.Recipient) ([]mail.Recipient, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	out := make([]mail.Recipient, len(ps))
	for i, r := range ps {
		n, err := notify(r.GetNotify())
		if err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i, err)
		}
		out[i] = mail.Recipient{
			Address:  mail.Address{Local: r.GetLocal(), Domain: r.GetDomain()},
			Original: r.GetOriginal(),
			Notify:   n,
		}
	}
	return out, nil
}
