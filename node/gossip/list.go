package gossip

import (
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Names turns GUIDs into what people call the objects. A name that is not known
// is given as the GUID's text by whoever implements it.
type Names struct {
	Server    func(mail.GUID) string
	Group     func(server mail.GUID) string
	Connector func(mail.GUID) string
}

// List is the table and the neighbours as LinkStateService shows them; Node and
// Nodes are left to the caller.
func (r *Runner) List(n Names) *linkstatev1.ListResponse {
	table, now := r.Table(), r.conf.Now()
	out := &linkstatev1.ListResponse{Digest: table.Digest().String(), Version: table.Version()}
	for _, record := range table.All() {
		out.Entries = append(out.Entries, entry(record, table.Changed(record.Server), now, n))
	}
	for _, p := range r.Neighbours() {
		x := &linkstatev1.Neighbour{
			Server: n.Server(p.Server), Connected: p.Connected, SinceUnixMs: p.Since.UnixMilli(), LastError: p.LastError,
			Protocol: p.Protocol, Carrier: string(p.Carrier),
		}
		if !p.DivergedSince.IsZero() {
			x.DivergedSinceUnixMs = p.DivergedSince.UnixMilli()
		}
		out.Neighbours = append(out.Neighbours, x)
	}
	return out
}

func entry(r *linkstate.Record, changed, now time.Time, n Names) *linkstatev1.TableEntry {
	e := &linkstatev1.TableEntry{
		Server: n.Server(mail.GUID(r.Server)),
		Group:  n.Group(mail.GUID(r.Server)),
		Record: EncodeRecord(r),
		AgeMs:  max(now.Sub(changed).Milliseconds(), 0),
	}
	for _, c := range r.Connectors {
		e.Connectors = append(e.Connectors, &linkstatev1.ConnectorEntry{
			Connector: n.Connector(mail.GUID(c.Connector)), Up: !c.Down, SinceUnixMs: c.Since, Reason: c.Reason,
			SuppressedUntilUnixMs: c.SuppressedUntil,
		})
	}
	return e
}
