package pipeline

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/postroad/postroad/node/badmail"
	"github.com/postroad/postroad/node/mail"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/directory"
)

// archive keeps what a message filter has caught.
func (p *Pipeline) archive(e *mail.Envelope, why string, content io.Reader) error {
	return badmail.Keep(filepath.Join(p.cfg.Data, "filtered"), e, why, content, time.Now())
}

// Names implements vserver.Resolver.
func (r *resolver) Names(ctx context.Context, ip netip.Addr) ([]string, error) {
	now, err := r.now()
	if err != nil {
		return nil, err
	}
	return now.Names(ctx, ip)
}

// Listed implements vserver.Resolver.
func (r *resolver) Listed(ctx context.Context, name string) ([]netip.Addr, error) {
	now, err := r.now()
	if err != nil {
		return nil, err
	}
	return now.Listed(ctx, name)
}

// NullMX implements vserver.Resolver.
func (r *resolver) NullMX(ctx context.Context, domain string) (bool, error) {
	now, err := r.now()
	if err != nil {
		return false, err
	}
	return now.NullMX(ctx, domain)
}

// Objects is what this node made of its objects, of a kind and with a name unless
// these are empty.
func (p *Pipeline) Objects(kind, name string) []*nodev1.ObjectStatus {
	var all []*nodev1.ObjectStatus
	if kind == "" || kind == directory.KindMailRule {
		all = p.ruleStatus(name)
	}
	if kind != "" && kind != directory.KindVirtualServer {
		return all
	}
	for _, s := range p.Servers.Status() {
		if name != "" && s.Name != name {
			continue
		}
		all = append(all, &nodev1.ObjectStatus{
			Node: p.cfg.Self.Name, Kind: directory.KindVirtualServer, Name: s.Name, State: s.State, Reason: s.Reason,
			SinceUnixMs: s.Since.UnixMilli(), Addresses: s.Addresses, Connections: int32(s.Connections),
		})
	}
	return all
}
