package node

import (
	"os"
	"time"

	"github.com/postroad/postroad/node/admin"
	"github.com/postroad/postroad/node/pipeline"
	"github.com/postroad/postroad/node/pressure"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// view is the node as the admin API shows it: the stages' own views, and what
// only the node knows.
type view struct {
	*pipeline.Pipeline
	*accountant
	node      *Node
	directory *directory.Directory
	catalog   *catalog.Catalog
	spool     *spool.Spool
	pressure  *pressure.Sampler
	self      directory.Server
}

// connectedWithin: etcd counts as connected if it answered within this time;
// three of the directory's heartbeats.
const connectedWithin = 15 * time.Second

// Status implements admin.Node.
func (v view) Status() *nodev1.StatusResponse {
	s := &nodev1.StatusResponse{
		Name: v.node.cfg.Name, Guid: v.self.GUID.String(), Group: v.Group(), Version: v.node.deps.Version,
		StartedUnixMs: v.node.started.UnixMilli(), DirectoryRevision: v.catalog.Revision(), CatalogAgeMs: v.CatalogAge(),
		DirectoryConnected: time.Since(v.directory.LastContact()) < connectedWithin,
		LinkStateDigest:    v.Digest(), TableVersion: v.TableVersion(),
		LedgerImbalance: v.imbalance(),
		BackPressure:    v.level(), Pressure: v.pressures(), Queued: v.spool.Stats().Messages, Pid: int32(os.Getpid()),
	}
	for _, a := range v.Servers.Addresses() {
		s.SmtpAddress = a.Addr.String()
		break
	}
	for _, b := range v.node.Boot() {
		s.Boot = append(s.Boot, &nodev1.BootEvent{Name: b.Name, AfterMs: b.After.Milliseconds()})
	}
	return s
}

// level is how short the node is, and of what.
func (v view) level() string {
	level, _ := v.pressure.Level()
	return level.String()
}

func (v view) pressures() []*nodev1.Pressure {
	var all []*nodev1.Pressure
	for _, st := range v.pressure.States() {
		scale := 1.0
		if st.Resource == pressure.Inodes || st.Resource == pressure.Memory {
			scale = 100 // hundredths of a percent to percent
		}
		p := &nodev1.Pressure{
			Resource: st.Resource.String(), Level: st.Level.String(), Value: float64(st.Value) / scale,
			Medium: float64(st.Threshold.Medium) / scale, High: float64(st.Threshold.High) / scale,
		}
		if st.Value == pressure.Unknown {
			p.Value = pressure.Unknown
		}
		all = append(all, p)
	}
	return all
}

// Peers implements admin.Node.
func (v view) Peers() []admin.Peer {
	var all []admin.Peer
	for _, s := range v.catalog.Config().Servers() {
		if s.Name != v.node.cfg.Name {
			all = append(all, admin.Peer{Name: s.Name, Address: directory.AdminAddress(s.Spec)})
		}
	}
	return all
}

// catalogView answers in the directory's place.
type catalogView struct{ c *catalog.Catalog }

// Objects implements admin.Catalog.
func (v catalogView) Objects(kind, name string) ([]*directoryv1.Object, int64, int64, error) {
	objs, err := v.c.Objects(kind, name)
	return objs, v.c.Revision(), v.c.Age(time.Now()).Milliseconds(), err
}
