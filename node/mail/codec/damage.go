package codec

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
	spoolv1 "github.com/postroad/postroad/proto/postroad/spool/v1"
)

// Damage is what the spool keeps of a message that was set aside because it
// cannot be read: what was known of it then. All but At and Reason may be zero.
type Damage struct {
	At         time.Time
	Reason     string // what cannot be read
	Origin     mail.ID
	MessageID  string
	Sender     string
	Recipients []string
	Size       int64 // octets
	Crashed    bool  // it can be read, but crashed what processed it
	// Notice is the message by which the postmaster was told; zero: he has not been.
	Notice mail.ID
}

// EncodeDamage is the spool's form. At keeps microseconds.
func EncodeDamage(d Damage) []byte {
	p := &spoolv1.Damage{
		AtUnixUs: micros(d.At), Reason: text(d.Reason), Origin: id16(d.Origin),
		MessageId: text(d.MessageID), Sender: text(d.Sender), Size: d.Size, Crashed: d.Crashed, Notice: id16(d.Notice),
	}
	for _, r := range d.Recipients {
		p.Recipients = append(p.Recipients, text(r))
	}
	return marshal(p)
}

// DecodeDamage reads what EncodeDamage writes; At comes back in UTC.
func DecodeDamage(b []byte) (Damage, error) {
	var p spoolv1.Damage
	if err := unmarshal(b, &p); err != nil {
		return Damage{}, fmt.Errorf("damage: %w", err)
	}
	origin, err := parse16[mail.ID]("origin", p.GetOrigin())
	if err != nil {
		return Damage{}, fmt.Errorf("damage: %w", err)
	}
	notice, err := parse16[mail.ID]("notice", p.GetNotice())
	if err != nil {
		return Damage{}, fmt.Errorf("damage: %w", err)
	}
	return Damage{
		At: fromMicros(p.GetAtUnixUs()), Reason: p.GetReason(), Origin: origin,
		MessageID: p.GetMessageId(), Sender: p.GetSender(), Recipients: p.GetRecipients(), Size: p.GetSize(), Crashed: p.GetCrashed(), Notice: notice,
	}, nil
}
