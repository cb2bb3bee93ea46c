package vserver

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
)

// LinkState takes connections that nodes have turned over to it by X-LINK2STATE.
type LinkState interface {
	// AdmitMail says why a node may not exchange link state with this one now.
	AdmitMail(node mail.GUID) error
	// ServeMail does it until the connection or ctx ends. That the other end is
	// node is proven.
	ServeMail(ctx context.Context, node mail.GUID, conn net.Conn)
}

// AcceptsLinkState says that the client is a node.
func (s *session) AcceptsLinkState() bool { return s.client.node && s.v.deps.LinkState != nil }

// LinkState admits the node that authenticated.
func (s *session) LinkState() (smtpd.LinkStateCarrier, error) {
	links, node := s.v.deps.LinkState, s.node
	if err := links.AdmitMail(node); err != nil {
		s.log.Info("smtp_linkstate_refused", zap.String("node", node.String()), zap.Error(err))
		// The two may know different revisions of the directory, for the moment.
		return nil, deny(reasonNeighbour, 450, mail.Status{Class: 4, Subject: 7, Detail: 1}, "No link state now: %v", err)
	}
	return func(ctx context.Context, conn net.Conn) { links.ServeMail(ctx, node, conn) }, nil
}
