package directory

import (
	"errors"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// SenderKind tells what an entry of a connector's sender lists means.
type SenderKind uint8

// Kinds of entries.
const (
	SenderNull      SenderKind = iota // "<>": the null reverse path
	SenderAddress                     // "x@example.com"
	SenderDomain                      // "@example.com": that domain
	SenderBelow                       // "@*.example.com": the domains below it
	SenderRecipient                   // the name of a Recipient; of a group: its members
)

// Sender is one entry of acceptFrom or rejectFrom.
type Sender struct {
	Kind SenderKind
	// Value is an AddressKey, a DomainKey or a name.
	Value string
}

// Key is the entry in a form that equal entries share.
func (s Sender) Key() string { return string('0'+rune(s.Kind)) + s.Value }

// ParseSender reads an entry. "Recipient/NAME" is taken for names that look
// like addresses.
func ParseSender(text string) (Sender, error) {
	if name, ok := strings.CutPrefix(text, KindRecipient+"/"); ok {
		return named(name)
	}
	at := strings.LastIndexByte(text, '@')
	switch {
	case text == "<>":
		return Sender{Kind: SenderNull}, nil
	case strings.HasPrefix(text, "@*."):
		return Sender{SenderBelow, DomainKey(text[3:])}, checkDomain(text[3:])
	case at == 0:
		return Sender{SenderDomain, DomainKey(text[1:])}, checkDomain(text[1:])
	case at > 0:
		if _, _, err := splitAddress(text); err != nil {
			return Sender{}, err
		}
		return Sender{SenderAddress, AddressKey(text)}, nil
	}
	return named(text)
}

func named(name string) (Sender, error) {
	if !ValidName(name) {
		return Sender{}, errors.New("no name of a Recipient")
	}
	return Sender{SenderRecipient, name}, nil
}

// SendersNamed are the names of the recipients in a connector's sender lists.
func SendersNamed(o *directoryv1.Object) []string {
	var r *directoryv1.Restrictions
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_RoutingGroupConnector:
		r = s.RoutingGroupConnector.GetRestrictions()
	case *directoryv1.Object_SmtpConnector:
		r = s.SmtpConnector.GetRestrictions()
	case *directoryv1.Object_ForeignConnector:
		r = s.ForeignConnector.GetRestrictions()
	}
	var names []string
	for _, list := range [][]string{r.GetAcceptFrom(), r.GetRejectFrom()} {
		for _, text := range list {
			if e, err := ParseSender(text); err == nil && e.Kind == SenderRecipient {
				names = append(names, e.Value)
			}
		}
	}
	return names
}
