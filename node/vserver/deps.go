package vserver

import (
	"crypto/tls"
	"io"
	"net"

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
	// Full says whether new messages must wait for room: 452 4.3.1. nil: never.
	Full func() bool
	// Node names the node of this organisation at the other end of a TLS
	// connection. nil: nobody is a node.
	Node func(tls.ConnectionState) (mail.GUID, bool)
	// TLS is the node's own identity, for virtual servers without a certificate
	// of their own. nil: those offer no STARTTLS.
	TLS *tls.Config
	// Listen opens a listener for a binding; nil: TCP.
	Listen func(address string) (net.Listener, error)
	Logger *zap.Logger // nil logs nothing
}

func (d Deps) withDefaults() Deps {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Full == nil {
		d.Full = func() bool { return false }
	}
	if d.Node == nil {
		d.Node = func(tls.ConnectionState) (mail.GUID, bool) { return mail.GUID{}, false }
	}
	if d.Listen == nil {
		d.Listen = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	return d
}
