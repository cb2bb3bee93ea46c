package node

import (
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// watchPressure measures what the node may run short of, with the thresholds of
// its Server object as it is at the moment.
func (n *Node) watchPressure(p *parts, s *spool.Spool, c *catalog.Catalog) *pressure.Sampler {
	sampler := pressure.New(pressure.Config{
		Measure: func() pressure.Sample {
			return pressure.Sample{
				pressure.Disk:     int64(s.Free()),
				pressure.Inodes:   pressure.InodesFree(n.cfg.Data),
				pressure.Memory:   pressure.MemoryUsed(),
				pressure.Messages: s.Stats().Messages,
			}
		},
		Limits: func() pressure.Limits {
			self, _ := c.Config().Server(n.cfg.Name)
			b := directory.Pressure(self.Spec.GetBackPressure())
			return pressure.Limits{
				pressure.Disk:     {Medium: b.GetDiskSizeMedium(), High: b.GetDiskSizeHigh()},
				pressure.Inodes:   {Medium: 100 * int64(b.GetInodesMedium()), High: 100 * int64(b.GetInodesHigh())},
				pressure.Memory:   {Medium: 100 * int64(b.GetMemoryMedium()), High: 100 * int64(b.GetMemoryHigh())},
				pressure.Messages: {Medium: b.GetMessagesMedium(), High: b.GetMessagesHigh()},
			}
		},
		Logger: n.log.Named("pressure"),
	})
	p.run("pressure", sampler.Run)
	return sampler
}
