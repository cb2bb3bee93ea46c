package mail

import "strings"

// Place says what kind of destination a recipient has.
type Place uint8

// Places.
const (
	PlaceLocal   Place = iota // a mailbox whose home is this server
	PlaceServer               // a mailbox whose home is another server of the organisation
	PlaceForeign              // an address outside, reached over a connector
)

// Destination is the final destination of a queue: never a next hop, so that
// queues move between links without touching messages.
type Destination struct {
	Place  Place
	Server GUID   // PlaceServer: the home server
	Type   string // PlaceForeign: address type, "SMTP" and so on, upper case
	Domain string // PlaceForeign: the domain (SMTP) or the whole address (other types), lower case
	// Connector is the connector an earlier node chose for the message; zero
	// lets this node choose. It is part of the destination because messages
	// bound to different connectors may not share a queue. Of what is unresolved it
	// is the virtual server whose host takes it.
	Connector GUID
}

// TypeUnresolved is the address type of recipients that a domain of ours alone
// should have, and the directory does not; Domain is that domain.
const TypeUnresolved = "UNRESOLVED"

// Unresolved says whether the destination is the host for unresolved recipients.
func (d Destination) Unresolved() bool { return d.Place == PlaceForeign && d.Type == TypeUnresolved }

// Class is what routing restrictions look at; all messages of a queue share it.
type Class struct {
	Priority Priority
	System   bool
	// RequireTLS: only hosts that keep to REQUIRETLS may have it (RFC 8689).
	RequireTLS bool
	// Size bounds the size in octets of every message of the class; see
	// [SizeBound]. Zero: not compared with any limit.
	Size int64
	// Sender is what sender lists say of the sender.
	Sender Sender
	// Bucket spreads messages over equal ways; 0: the way does not spread.
	Bucket uint8
}

// SizeBound rounds a message size up so that messages which no connector's size
// limit tells apart share a class: to the smallest limit that the message fits
// under, else to the next power of two. Without limits it is zero. limits must
// be sorted. A limit that is added later is not told by old bounds: where there were none
// it takes what is too large, else it may refuse what would just fit.
func SizeBound(octets int64, limits []int64) int64 {
	if len(limits) == 0 {
		return 0
	}
	for _, l := range limits {
		if octets <= l {
			return l
		}
	}
	b := int64(1)
	for b < octets {
		b <<= 1
	}
	return b
}

// Target is one resolved recipient: what the categorizer makes of an address.
type Target struct {
	Address     Address // where to deliver; a mailbox's primary address or a contact's target
	Foreign     string  // for types other than SMTP: the address as written, "X400:c=us;..."
	Original    string  // ORCPT to pass on; set when the sender gave one or the address changed
	Recipient   int     // index into Envelope.Recipients of the RCPT it comes from
	Notify      Notify
	Destination Destination
	Mailbox     GUID // PlaceLocal and PlaceServer: the recipient object
}

// String names the destination as `queue list` shows it: "local",
// "server:<GUID>", "SMTP:example.com".
func (d Destination) String() string {
	switch d.Place {
	case PlaceLocal:
		return "local"
	case PlaceServer:
		return "server:" + d.Server.String()
	}
	s := d.Type + ":" + d.Domain
	if !d.Connector.IsZero() {
		s += "@" + d.Connector.String()
	}
	return s
}

// AddressType gives the type and the rest of an address such as "X400:c=us";
// an address without a type is SMTP.
func AddressType(s string) (typ, rest string) {
	t, r, ok := strings.Cut(s, ":")
	if !ok || t == "" || strings.ContainsAny(t, "@\" .") {
		return "SMTP", s
	}
	return strings.ToUpper(t), r
}
