package pipeline

import (
	"github.com/postroad/postroad/node/topo"
	"github.com/postroad/postroad/node/verify"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Checks judges the map as this node sees it now, and what all nodes sent over it.
func (p *Pipeline) Checks(of []*topologyv1.TrafficResponse) []*linkstatev1.Check {
	top := topo.Build(p.cfg.Catalog.Config(), p.links.Table(), p.self, p.version.Load())
	return append(verify.Map(top), verify.Loads(top, of))
}
