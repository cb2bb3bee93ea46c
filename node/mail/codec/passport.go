package codec

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/postroad/postroad/node/mail"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

// Passport is what a message carries from node to node beside its SMTP
// envelope: the value of the XPOSTROAD parameter of MAIL.
type Passport struct {
	Origin    mail.ID
	Created   time.Time   // to the millisecond
	Visited   []mail.GUID // routing groups, oldest first; at most MaxVisited
	Connector mail.GUID   // chosen by an earlier node; zero: choose here
	Priority  mail.Priority
	System    bool
	Account   string
	HeldUntil time.Time     // end of the hold that the sender asked for, to the millisecond; zero: there was none
	HeldFor   time.Duration // HOLDFOR in whole seconds, as it was given; 0: HOLDUNTIL, or no hold
	Notified  bool          // the sender was told that it is late
	// Revision of the directory that the sending node had.
	Revision int64
}

const (
	// MaxVisited bounds Passport.Visited. A loop through more groups than that
	// is left to the hop count.
	MaxVisited = 96
	// MaxPassport is the length in octets of the longest passport that
	// DecodePassport reads. It leaves a quarter of the 4,096 octets that a MAIL
	// line may have between nodes for everything else on it.
	MaxPassport = 3072
	// maxAccount is the greatest length of an object's name in the directory.
	maxAccount = 255
)

// PassportOf collects what of an envelope travels on.
func PassportOf(e *mail.Envelope) Passport {
	return Passport{
		Origin: e.Origin, Created: e.Created, Visited: e.Visited, Connector: e.Connector,
		Priority: e.Priority, System: e.System, Account: e.Account, HeldUntil: e.HoldUntil, HeldFor: e.HoldFor, Notified: e.Notified,
	}
}

// EncodePassport writes base64url without padding, so that the value has only
// characters of an esmtp-value (RFC 5321 section 4.1.2). Of more than MaxVisited
// groups the newest are kept: they are the ones a loop would come back to.
func EncodePassport(p Passport) string {
	visited := p.Visited
	if len(visited) > MaxVisited {
		visited = visited[len(visited)-MaxVisited:]
	}
	m := &nodev1.Passport{
		Origin:    id16(p.Origin),
		Visited:   list16(visited),
		Connector: id16(p.Connector),
		Priority:  clamp(p.Priority),
		System:    p.System,
		Account:   text(p.Account[:min(len(p.Account), maxAccount)]),

		DirectoryRevision: max(p.Revision, 0),
		CreatedUnixMs:     millis(p.Created),
		HeldUntilUnixMs:   millis(p.HeldUntil),
		HeldForS:          int64(p.HeldFor / time.Second),
		Notified:          p.Notified,
	}
	return base64.RawURLEncoding.EncodeToString(marshal(m))
}

// DecodePassport reads what EncodePassport writes. It comes from the network:
// length and number of groups are bounded.
func DecodePassport(s string) (Passport, error) {
	if len(s) > MaxPassport {
		return Passport{}, fmt.Errorf("passport: %w", corrupt("text", fmt.Sprintf("has %d octets, more than %d", len(s), MaxPassport)))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Passport{}, fmt.Errorf("passport: %w: not base64url", ErrCorrupt)
	}
	var m nodev1.Passport
	if err := unmarshal(b, &m); err != nil {
		return Passport{}, fmt.Errorf("passport: %w", err)
	}
	p, err := passport(&m)
	if err != nil {
		return Passport{}, fmt.Errorf("passport: %w", err)
	}
	return p, nil
}

func passport(m *nodev1.Passport) (Passport, error) {
	p := Passport{System: m.GetSystem(), Account: m.GetAccount(), Revision: m.GetDirectoryRevision(), Notified: m.GetNotified()}
	if p.Revision < 0 {
		return p, corrupt("directory_revision", "is negative")
	}
	p.Created, p.HeldUntil = fromMillis(m.GetCreatedUnixMs()), fromMillis(m.GetHeldUntilUnixMs())
	var err error
	if p.HeldFor, err = interval("held_for_s", m.GetHeldForS()); err != nil {
		return p, err
	}
	if len(m.GetVisited()) > MaxVisited {
		return p, corrupt("visited", fmt.Sprintf("has %d groups, more than %d", len(m.GetVisited()), MaxVisited))
	}
	if p.Origin, err = parse16[mail.ID]("origin", m.GetOrigin()); err != nil {
		return p, err
	}
	if p.Visited, err = parseList16[mail.GUID]("visited", m.GetVisited()); err != nil {
		return p, err
	}
	if p.Connector, err = parse16[mail.GUID]("connector", m.GetConnector()); err != nil {
		return p, err
	}
	p.Priority, err = priority(m.GetPriority())
	return p, err
}
