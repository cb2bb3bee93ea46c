package vserver

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Directory is what a virtual server asks; the catalog of the node. An error
// means that it cannot tell now.
type Directory interface {
	// Config is the present configuration, never nil.
	Config() *directory.Configuration
	// Lookup finds a recipient by any of its addresses (directory.AddressKey).
	Lookup(addressKey string) (*directoryv1.Object, bool, error)
}

// Submitter takes messages in. When Submit returns nil the message is durable
// and s.Envelope is complete. An error with a method "Reply() mail.Reply" is
// answered in its words, an error that content gave in that error's; any other
// gets 451.
type Submitter interface {
	Submit(s *mail.Submission, content io.Reader) error
}

// Deps is what the virtual servers of a node work with.
type Deps struct {
	Self      mail.GUID // this node's Server object
	Directory Directory
	Submitter Submitter
	// Foresee says why a recipient, whom this virtual server would take, could only
	// be returned to the sender: what can be refused now needs no report later. size
	// is what the client has declared, 0 if nothing. nil: nothing is known against
	// it, or nobody can tell now. It must be fast. The field may be nil.
	Foresee func(from, to mail.Address, size int64) *mail.Outcome
	// Full says whether new messages must wait for room: 452 4.3.1. nil: never.
	Full func() bool
	// Slow says whether mail from outside is to come more slowly. nil: never.
	Slow func() bool
	// Node names the node of this organisation at the other end of a TLS
	// connection. nil: nobody is a node.
	Node func(tls.ConnectionState) (mail.GUID, bool)
	// LinkState takes connections of nodes that send X-LINK2STATE; nil: it is not
	// offered.
	LinkState LinkState
	// Triggers gives out the mail of remote-triggered connectors; nil: ETRN, ATRN
	// and TURN are not offered.
	Triggers Triggers
	// TLS is the node's own identity, for virtual servers without a certificate
	// of their own. nil: those offer no STARTTLS.
	TLS *tls.Config
	// ForNode says whether a client asks for the node's own identity rather than
	// for a host; nil: nobody does.
	ForNode func(*tls.ClientHelloInfo) bool
	// Resolver asks DNS; nil: nothing has a name, and nobody is on a list.
	Resolver Resolver
	// Archive keeps a message that a filter has caught; nil: they are not kept.
	Archive func(e *mail.Envelope, why string, content io.Reader) error
	// Data is the node's folder, for protocol logs.
	Data string
	// Metrics; nil: none.
	Metrics prometheus.Registerer
	// MaxConnections is how many clients may be connected to all virtual servers
	// together; 0: no bound.
	MaxConnections int
	// Listen opens a listener for a binding; nil: TCP.
	Listen func(address string) (net.Listener, error)
	Logger *zap.Logger // nil logs nothing
}

func (d Deps) withDefaults() Deps {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Slow == nil {
		d.Slow = func() bool { return false }
	}
	if d.Full == nil {
		d.Full = func() bool { return false }
	}
	if d.Foresee == nil {
		d.Foresee = func(mail.Address, mail.Address, int64) *mail.Outcome { return nil }
	}
	if d.Node == nil {
		d.Node = func(tls.ConnectionState) (mail.GUID, bool) { return mail.GUID{}, false }
	}
	if d.ForNode == nil {
		d.ForNode = func(*tls.ClientHelloInfo) bool { return false }
	}
	if d.Archive == nil {
		d.Archive = func(_ *mail.Envelope, _ string, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			return err
		}
	}
	if d.Listen == nil {
		d.Listen = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	return d
}

// drained: this server takes no new mail but what other nodes hand over for its
// own mailboxes.
func (d *Deps) drained() bool {
	s, _ := d.Directory.Config().ServerByGUID(directory.GUID(d.Self))
	return s.Spec.GetDrain() == directoryv1.DrainMode_DRAIN_MODE_HARD
}
