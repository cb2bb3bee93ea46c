package route

import (
	"sync"
	"sync/atomic"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Route answers where mail goes next. Its methods are safe for concurrent use.
type Route struct {
	now atomic.Pointer[view]

	mu          sync.Mutex // of subscribers
	subscribers []func()
}

// view is one table with the configuration that it was made of.
type view struct {
	top   routing.Topology
	table *routing.Table
	conf  *directory.Configuration
	self  directory.Server
	// senders are the virtual servers that this server sends as, by connector; the zero
	// GUID has that of all other mail.
	senders map[mail.GUID]*sender
	gates   map[mail.GUID]gate // of connectors that are not always open
	sizes   []int64
	// down says of the servers that are, why.
	down map[routing.GUID]string
}

// New has no table yet: until the first Update everything waits.
func New() *Route {
	r := new(Route)
	r.now.Store(newView(routing.Topology{}, new(directory.Configuration)))
	return r
}

// Update makes top the map that decides, with conf the configuration that it was
// made of, and tells all subscribers.
func (r *Route) Update(top routing.Topology, conf *directory.Configuration) {
	r.now.Store(newView(top, conf))
	r.mu.Lock()
	list := r.subscribers
	r.mu.Unlock()
	for _, f := range list {
		f()
	}
}

func newView(top routing.Topology, conf *directory.Configuration) *view {
	v := &view{top: top, table: routing.Build(top), conf: conf}
	v.self, _ = conf.ServerByGUID(directory.GUID(top.Self))
	if v.self.Spec == nil {
		v.self.Spec = new(directoryv1.Server)
	}
	v.senders = senders(conf, v.self.Name)
	v.gates = gates(conf)
	v.sizes = sizes(v.table.Limits(), v.gates)
	v.down = make(map[routing.GUID]string)
	for i := range top.Servers {
		if s := &top.Servers[i]; !s.Up {
			v.down[s.GUID] = s.Reason
		}
	}
	return v
}

// Gone says why the host behind a hop is known not to answer; "" where nothing is
// known against it. Link state knows of nodes only.
func (r *Route) Gone(h mail.Hop) string {
	if h.Kind != mail.HopNode {
		return ""
	}
	why, gone := r.now.Load().down[routing.GUID(h.Server)]
	if gone && why == "" {
		return "server " + h.Name + " is down"
	}
	return why
}

// Subscribe has f called after each Update, in the goroutine of the one who
// updates. f does not block.
func (r *Route) Subscribe(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A new slice: Update reads the old one without the lock.
	r.subscribers = append(r.subscribers[:len(r.subscribers):len(r.subscribers)], f)
}

// Version is that of the topology that decides.
func (r *Route) Version() uint64 { return r.now.Load().table.Version() }

// Configuration is the one that decides.
func (r *Route) Configuration() *directory.Configuration { return r.now.Load().conf }

// Limits are the size limits of all connectors, in octets, sorted; see
// [mail.SizeBound].
func (r *Route) Limits() []int64 { return r.now.Load().table.Limits() }

// Hop gives the next hop for a destination, for messages of a class that have
// been in the visited groups.
func (r *Route) Hop(dest mail.Destination, class mail.Class, visited []mail.GUID) mail.Hop {
	v := r.now.Load()
	if dest.Place == mail.PlaceLocal {
		return v.local()
	}
	if dest.Unresolved() {
		return v.unresolved(dest.Connector)
	}
	return v.hop(dest, v.decide(dest, class, visited))
}

func message(dest mail.Destination, class mail.Class, visited []mail.GUID) routing.Message {
	m := routing.Message{
		Priority: int8(class.Priority), System: class.System, SizeBound: class.Size,
		Connector: routing.GUID(dest.Connector), Bucket: class.Bucket,
	}
	if class.Sender != "" {
		m.Sender = senderSet(class.Sender)
	}
	for _, g := range visited {
		m.Visited = append(m.Visited, routing.GUID(g))
	}
	return m
}

// Plain is a message of a class that has been nowhere yet.
func Plain(class mail.Class) *routing.Message {
	m := message(mail.Destination{}, class, nil)
	return &m
}

func senderSet(s mail.Sender) routing.SenderSet {
	var ids []routing.SenderID
	for _, id := range s.IDs() {
		ids = append(ids, routing.SenderID(id))
	}
	return routing.NewSenderSet(ids...)
}

// Bucket is the part of its destination's mail that a message belongs to, by its
// origin, which all nodes know it by; 0 if it makes no difference to the way.
// Mail without a way belongs to one as well, for it may spread when it has one.
func (r *Route) Bucket(dest mail.Destination, class mail.Class, visited []mail.GUID, origin mail.ID) uint8 {
	v := r.now.Load()
	if dest.Place == mail.PlaceLocal || dest.Unresolved() || !v.table.Spreads() {
		return 0
	}
	if d := v.decide(dest, class, visited); !d.Spread && d.Kind != routing.Unreachable && d.Kind != routing.Loop {
		return 0
	}
	return routing.Bucket(origin[:])
}

func (v *view) decide(dest mail.Destination, class mail.Class, visited []mail.GUID) routing.Decision {
	m := message(dest, class, visited)
	if dest.Place == mail.PlaceServer {
		return v.table.ToServer(routing.GUID(dest.Server), &m)
	}
	return v.table.ToAddress(dest.Type, dest.Domain, &m)
}
