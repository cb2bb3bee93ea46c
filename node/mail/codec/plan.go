package codec

import (
	"fmt"
	"math"

	"github.com/postroad/postroad/node/mail"
	spoolv1 "github.com/postroad/postroad/proto/postroad/spool/v1"
)

// EncodePlan is the spool's form of what the categorizer made of an envelope.
func EncodePlan(targets []mail.Target) []byte {
	ts := make([]spoolv1.Target, len(targets))
	ds := make([]spoolv1.Destination, len(targets))
	p := &spoolv1.Plan{Targets: make([]*spoolv1.Target, len(targets))}
	for i := range targets {
		t, d := &targets[i], &targets[i].Destination
		ds[i].Place, ds[i].Server = uint32(d.Place), id16(d.Server)
		ds[i].Type, ds[i].Domain = text(d.Type), text(d.Domain)
		ds[i].Connector = id16(d.Connector)
		ts[i].Local, ts[i].Domain = text(t.Address.Local), text(t.Address.Domain)
		ts[i].Foreign, ts[i].Original = text(t.Foreign), text(t.Original)
		ts[i].Recipient, ts[i].Notify = uint32(max(t.Recipient, 0)), uint32(t.Notify)
		ts[i].Destination, ts[i].Mailbox = &ds[i], id16(t.Mailbox)
		p.Targets[i] = &ts[i]
	}
	return marshal(p)
}

// DecodePlan reads what EncodePlan writes. Whether Recipient is within the
// envelope's recipients is the caller's to check: the plan does not know them.
func DecodePlan(b []byte) ([]mail.Target, error) {
	var p spoolv1.Plan
	if err := unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if len(p.GetTargets()) == 0 {
		return nil, nil
	}
	out := make([]mail.Target, len(p.GetTargets()))
	for i, t := range p.GetTargets() {
		var err error
		if out[i], err = target(t); err != nil {
			return nil, fmt.Errorf("plan: target %d: %w", i, err)
		}
	}
	return out, nil
}

func target(p *spoolv1.Target) (mail.Target, error) {
	t := mail.Target{
		Address:   mail.Address{Local: p.GetLocal(), Domain: p.GetDomain()},
		Foreign:   p.GetForeign(),
		Original:  p.GetOriginal(),
		Recipient: int(p.GetRecipient()),
	}
	if p.GetRecipient() > math.MaxInt32 {
		return t, corrupt("recipient", "is out of range")
	}
	var err error
	if t.Notify, err = notify(p.GetNotify()); err != nil {
		return t, err
	}
	if t.Mailbox, err = parse16[mail.GUID]("mailbox", p.GetMailbox()); err != nil {
		return t, err
	}
	t.Destination, err = destination(p.GetDestination())
	return t, err
}

func destination(p *spoolv1.Destination) (mail.Destination, error) {
	d := mail.Destination{Place: mail.Place(p.GetPlace()), Type: p.GetType(), Domain: p.GetDomain()}
	if p.GetPlace() > uint32(mail.PlaceForeign) {
		return d, corrupt("place", fmt.Sprintf("%d is no place", p.GetPlace()))
	}
	var err error
	if d.Server, err = parse16[mail.GUID]("server", p.GetServer()); err != nil {
		return d, err
	}
	d.Connector, err = parse16[mail.GUID]("connector", p.GetConnector())
	return d, err
}
