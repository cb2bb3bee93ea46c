package pipeline

import (
	"context"
	"net"

	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// carriers is what link state may travel over, as gossip names it.
func carriers(conf *directory.Configuration, self mail.GUID) map[mail.GUID]gossip.Carrier {
	all := make(map[mail.GUID]gossip.Carrier)
	for peer, c := range topo.Carriers(conf, self) {
		switch c {
		case directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_SMTP:
			all[peer] = gossip.CarrierSMTP
		case directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_GRPC:
			all[peer] = gossip.CarrierGRPC
		default:
			all[peer] = gossip.CarrierAuto
		}
	}
	return all
}

// dialMail opens a connection for link state to a peer's mail port.
func (p *Pipeline) dialMail(ctx context.Context, peer mail.GUID) (net.Conn, error) {
	s, ok := p.cfg.Catalog.Config().ServerByGUID(directory.GUID(peer))
	if !ok {
		return nil, errUnknown
	}
	return p.agent.LinkState(ctx, mail.Hop{
		Kind: mail.HopNode, Name: s.Name, Server: peer, Hosts: []string{directory.SMTPAddress(s.Spec)},
	})
}

// linkState is gossip as the virtual servers ask for it; they are made before it.
type linkState struct{ p *Pipeline }

func (l linkState) AdmitMail(node mail.GUID) error { return l.p.links.AdmitMail(node) }

func (l linkState) ServeMail(ctx context.Context, node mail.GUID, conn net.Conn) {
	l.p.links.ServeMail(ctx, node, conn)
}

// GossipStreams counts the streams to neighbours by what carries them.
func (p *Pipeline) GossipStreams() map[string]int {
	n := map[string]int{string(gossip.CarrierGRPC): 0, string(gossip.CarrierSMTP): 0}
	for _, k := range p.links.Neighbours() {
		if k.Connected {
			n[string(k.Carrier)]++
		}
	}
	return n
}
