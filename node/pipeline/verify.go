package pipeline

import (
	"github.com/postroad/postroad/node/topo"
	"github.com/postroad/postroad/node/verify"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Checks judges the map as this node sees it now.
func (p *Pipeline) Checks() []*linkstatev1.Check {
	return verify.Map(topo.Build(p.cfg.Catalog.Config(), p.links.Table(), p.self, p.version.Load()))
}
