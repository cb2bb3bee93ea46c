package node

import (
	"os"
	"time"

	"github.com/postroad/postroad/node/admin"
	"github.com/postroad/postroad/node/pipeline"
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
	node      *Node
	directory *directory.Directory
	catalog   *catalog.Catalog
	spool     *spool.Spool
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
		BackPressure: v.spool.Level().String(), Queued: v.spool.Stats().Messages, Pid: int32(os.Getpid()),
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
