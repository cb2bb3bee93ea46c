package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/topo"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Topology is the map as this node routes by it.
func (p *Pipeline) Topology() *topologyv1.ShowResponse {
	m, table := p.routes.Map(), p.links.Table()
	out := &topologyv1.ShowResponse{
		Node: p.cfg.Self.Name, TableVersion: m.TableVersion,
		DirectoryRevision: p.cfg.Catalog.Revision(), CatalogAgeMs: p.CatalogAge(),
	}
	for _, g := range m.Groups {
		group := &topologyv1.Group{Name: g.Name}
		for _, s := range g.Servers {
			group.Servers = append(group.Servers, &topologyv1.Server{
				Name: s.Name, State: topo.ServerState(table, s.GUID), SmtpAddress: s.SMTPAddress, Drain: s.Drain,
			})
		}
		out.Groups = append(out.Groups, group)
	}
	for _, k := range m.Connectors {
		c := &topologyv1.Connector{
			Name: k.Name, Kind: k.Kind, SourceGroup: k.Source, TargetGroup: k.Target, Cost: int32(k.Cost), Up: k.Up, Reason: k.Reason,
			AddressSpaces: k.AddressSpaces, RemoteBridgeheads: k.RemoteBridgeheads, SmartHosts: k.SmartHosts, Disabled: k.Disabled,
			Drain: k.Drain, Spread: k.Spread, Weight: int32(k.Weight),
		}
		for _, b := range k.Bridgeheads {
			c.Bridgeheads = append(c.Bridgeheads, &topologyv1.Bridgehead{Server: b.Server, VirtualServer: b.VirtualServer, Up: b.Up, Reason: b.Reason, SinceUnixMs: b.SinceMS})
		}
		out.Connectors = append(out.Connectors, c)
	}
	return out
}

// Explain says what this node would do with a recipient.
func (p *Pipeline) Explain(req *topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error) {
	then, err := p.at(req)
	if err != nil {
		return nil, err
	}
	category, err := p.category.Explain(req.GetAddress())
	if err != nil {
		return nil, err
	}
	if then.past() {
		category.Lines = append(category.Lines, "that is what the address means now; the ways below are of then")
	}
	sender, line, err := p.sender(req.GetSender())
	if err != nil {
		return nil, err
	}
	if line != "" {
		category.Lines = append(category.Lines, line)
	}
	class := mail.Class{System: req.GetSystem(), Size: mail.SizeBound(req.GetSize(), then.routes.Limits()), Sender: sender}
	if class.Priority, err = priority(req.GetPriority()); err != nil {
		return nil, err
	}
	out := &topologyv1.ExplainResponse{
		Node: p.cfg.Self.Name, Address: req.GetAddress(), Category: category.Lines,
		TableVersion: then.routes.Version(), CatalogAgeMs: p.CatalogAge(),
		FromUnixMs: then.from, UntilUnixMs: then.until, DirectoryRevision: then.revision,
	}
	for _, t := range category.Targets {
		out.Routes = append(out.Routes, then.explain(t, class))
	}
	for _, f := range category.Failed {
		out.Routes = append(out.Routes, &topologyv1.Route{
			Recipient: f.Address.String(), Result: "failed", Status: f.Outcome.Status.String(),
			Reasons: []string{f.Outcome.Status.String() + " " + f.Outcome.Text},
		})
	}
	return out, nil
}

func priority(word string) (mail.Priority, error) {
	switch strings.ToLower(word) {
	case "", "normal":
		return mail.PriorityNormal, nil
	case "low":
		return mail.PriorityLow, nil
	case "high":
		return mail.PriorityHigh, nil
	}
	return 0, fmt.Errorf("priority %q: must be low, normal or high", word)
}

// sender says what the connectors' sender lists make of a sender, "" if nobody asked.
func (p *Pipeline) sender(text string) (mail.Sender, string, error) {
	restricted := !p.cfg.Catalog.Config().SenderLists().Empty()
	if text == "" {
		if restricted {
			return "", "connectors restrict senders; without --sender it is one whom none of their lists names", nil
		}
		return "", "", nil
	}
	var from mail.Address
	if text != "<>" {
		var err error
		if from, err = mail.ParseAddress(text); err != nil {
			return "", "", fmt.Errorf("sender %q: %w; write x@example.com or <>", text, err)
		}
	}
	s, err := p.category.Sender(from)
	switch n := len(s.IDs()); {
	case err != nil:
		return "", "", err
	case !restricted:
		return s, "the sender " + text + " makes no difference: no connector restricts senders", nil
	case n == 0:
		return s, "no connector's list names the sender " + text, nil
	default:
		return s, fmt.Sprintf("lists of connectors name the sender %s, or a group it is in", text), nil
	}
}

func (then instant) explain(t mail.Target, class mail.Class) *topologyv1.Route {
	e := then.routes.Explain(t.Destination, class, []mail.GUID{then.group})
	r := &topologyv1.Route{
		Recipient: t.Address.String(), Destination: e.Destination, Result: e.Result, NextHop: e.NextHop,
		Connector: e.Connector, Cost: int32(e.Cost), Path: e.Path, Reasons: e.Reasons, Status: e.Status,
		VirtualServer: e.VirtualServer,
	}
	if t.Foreign != "" {
		r.Recipient = t.Foreign
	}
	for _, k := range e.Candidates {
		r.Candidates = append(r.Candidates, &topologyv1.Candidate{
			Connector: k.Connector, AddressSpace: k.AddressSpace, Cost: int32(k.Cost), Path: k.Path, Chosen: k.Chosen, Reason: k.Reason,
		})
	}
	for _, b := range e.Bridgeheads {
		r.Bridgeheads = append(r.Bridgeheads, &topologyv1.RankedBridgehead{
			Server: b.Server, Up: b.Up, Weight: b.Weight, Chosen: b.Chosen, Reason: b.Reason,
		})
	}
	return r
}

// LinkState is the table as this node has it.
func (p *Pipeline) LinkState() *linkstatev1.ListResponse {
	out := p.links.List(p.names())
	out.Node = p.cfg.Self.Name
	slices.SortFunc(out.Entries, func(a, b *linkstatev1.TableEntry) int {
		return cmp.Or(cmp.Compare(a.GetGroup(), b.GetGroup()), cmp.Compare(a.GetServer(), b.GetServer()))
	})
	for _, e := range out.Entries {
		slices.SortFunc(e.Connectors, func(a, b *linkstatev1.ConnectorEntry) int { return cmp.Compare(a.GetConnector(), b.GetConnector()) })
	}
	return out
}

// SubscribeLinks has f called after the table changed, until cancel.
func (p *Pipeline) SubscribeLinks(f func()) (cancel func()) { return p.links.Subscribe(f) }

// Digest is the link state table's, in hexadecimal.
func (p *Pipeline) Digest() string { return p.links.Table().Digest().String() }

// CatalogAge is the time in milliseconds since the directory last confirmed the
// catalog; -1 if it never did.
func (p *Pipeline) CatalogAge() int64 {
	age := p.cfg.Catalog.Age(time.Now())
	if age > 100*365*24*time.Hour {
		return -1
	}
	return age.Milliseconds()
}

// Group is the name of this node's routing group.
func (p *Pipeline) Group() string {
	return groupName(p.cfg.Catalog.Config(), p.self)
}
