package pipeline

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/history"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/topo"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/store/directory"
)

// past keeps what the last routing tables were made of.
type past struct {
	*history.Log
	log *zap.Logger
	// What was noted last; nil: by another process.
	conf  *directory.Configuration
	links *linkstate.Table
}

// newPast goes on with the history of the last run. What of it is damaged is lost,
// and told, and so is a disk that takes none of it: it explains, it does not decide.
func newPast(path string, log *zap.Logger) (*past, error) {
	l, err := history.Open(path)
	if errors.Is(err, history.ErrDamaged) {
		log.Warn("history_damaged", zap.String("path", path), zap.Int("versions_kept", len(l.List(0))), zap.Error(err))
		err = nil
	}
	if errors.Is(err, history.ErrUnsaved) {
		log.Warn("history_not_saved", zap.String("path", path), zap.Error(err))
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return &past{Log: l, log: log}, nil
}

// keep notes the table that began to decide. It is called by the one goroutine
// that builds tables.
func (p *Pipeline) keep(c route.Change, conf *directory.Configuration, links *linkstate.Table) {
	made := history.Made{AllObjects: p.past.conf != conf, AllRecords: p.past.links == nil}
	if made.AllObjects {
		for _, o := range p.cfg.Catalog.Configured() {
			if history.Routed(o) {
				made.Objects = append(made.Objects, o)
			}
		}
	}
	for _, r := range links.All() {
		if made.AllRecords || p.past.links.Get(r.Server) != r {
			made.Records = append(made.Records, gossip.EncodeRecord(r))
		}
	}
	for _, r := range p.past.links.All() {
		if links.Get(r.Server) == nil {
			made.Gone = append(made.Gone, r.Server[:])
		}
	}
	err := p.past.Note(&topologyv1.TableChange{
		TableVersion: c.Version, TimeUnixMs: c.Time.UnixMilli(), DirectoryRevision: c.Revision, Triggers: c.Triggers,
		BuildUs: c.Took.Microseconds(), Moved: int32(c.Moved), Destinations: int32(c.Destinations), Examples: c.Examples,
	}, made)
	if err != nil {
		p.past.log.Warn("history_not_saved", zap.Uint64("table", c.Version), zap.Error(err))
	}
	p.past.conf, p.past.links = conf, links
}

// History lists what changed this node's table, over restarts.
func (p *Pipeline) History(limit int) *topologyv1.HistoryResponse {
	return &topologyv1.HistoryResponse{Node: p.cfg.Self.Name, Changes: p.past.List(limit)}
}

// instant is the routing of one moment: now, or that of a table that was kept.
type instant struct {
	routes      *route.Route
	group       mail.GUID // of this node
	from, until int64     // Unix milliseconds; 0 for now
	revision    int64
}

func (i instant) past() bool { return i.from != 0 }

// at gives the routing that a question is about.
func (p *Pipeline) at(req *topologyv1.ExplainRequest) (instant, error) {
	var v *history.View
	var err error
	switch at := req.GetAt().(type) {
	case *topologyv1.ExplainRequest_AtVersion:
		v, err = p.past.At(at.AtVersion, p.version.Load())
	case *topologyv1.ExplainRequest_AtUnixMs:
		v, err = p.past.AtTime(time.UnixMilli(at.AtUnixMs), time.Now())
	default:
		return instant{routes: p.routes, group: p.group(), revision: p.cfg.Catalog.Revision()}, nil
	}
	if err != nil {
		return instant{}, err
	}
	return p.rebuilt(v)
}

// rebuilt makes the table of a version that was kept once more.
func (p *Pipeline) rebuilt(v *history.View) (instant, error) {
	conf, err := directory.NewConfiguration(v.Change.GetDirectoryRevision(), v.Objects)
	if err != nil {
		return instant{}, err
	}
	var records []*linkstate.Record
	for _, r := range v.Records {
		record, err := gossip.DecodeRecord(r)
		if err != nil {
			return instant{}, err
		}
		records = append(records, record)
	}
	out := instant{routes: route.New(), from: v.Change.GetTimeUnixMs(), revision: v.Change.GetDirectoryRevision()}
	if !v.Until.IsZero() {
		out.until = v.Until.UnixMilli()
	}
	out.routes.Update(topo.Build(conf, linkstate.TableOf(records), p.self, v.Change.GetTableVersion()), conf)
	s, _ := conf.ServerByGUID(directory.GUID(p.self))
	g, _ := conf.Group(s.Spec.GetRoutingGroup())
	out.group = mail.GUID(g.GUID)
	return out, nil
}
