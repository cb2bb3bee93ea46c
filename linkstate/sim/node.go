package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// node is one server: a machine while it runs, and what survives a crash.
type node struct {
	w      *World
	server linkstate.GUID
	skew   time.Duration // of its clock
	// protocol is the version it speaks; a node that has not been upgraded knows no patches.
	protocol uint32

	machine *linkstate.Machine // nil: not running
	run     int                // counts starts, so that late events miss
	frozen  bool               // it stands still
	held    []func()           // what would have happened to it meanwhile
	thawed  time.Time
	members linkstate.Members // its own view of the directory
	wants   map[linkstate.GUID]bool
	stream  map[linkstate.GUID]int  // epoch of the open stream to a peer, as this side sees it
	mails   map[linkstate.GUID]bool // connectors over which mail is sent now and then

	disk    []*linkstate.Record
	savedAt time.Time

	last    *linkstate.Table // after the last input, for the rules
	highest uint64           // incarnation it ever had
}

func (w *World) addNode(server linkstate.GUID) *node {
	n := &node{w: w, server: server, members: w.directory, protocol: linkstate.Protocol}
	if !w.scripted {
		if w.random.IntN(4) == 0 {
			n.protocol = linkstate.OldestProtocol
		}
		n.skew = w.upTo(20*time.Second) - 10*time.Second
	}
	w.nodes = append(w.nodes, n)
	w.byServer[server] = n
	return n
}

// node is nil for a server that never was.
func (w *World) node(server linkstate.GUID) *node { return w.byServer[server] }

func (n *node) clock() time.Time { return n.w.now.Add(n.skew) }

func (w *World) start(n *node) {
	if n.machine != nil {
		return
	}
	w.note("%s starts with %d records on disk", label(n.server), len(n.disk))
	n.run++
	n.wants, n.stream, n.mails = make(map[linkstate.GUID]bool), make(map[linkstate.GUID]int), make(map[linkstate.GUID]bool)
	n.last = &linkstate.Table{}
	n.machine = linkstate.New(linkstate.Config{
		Self:        n.server,
		Incarnation: uint64(n.clock().Unix()),
		Random:      w.random.IntN,
	})
	n.perform(n.machine.Restore(n.disk, w.now.Sub(n.savedAt), n.clock()))
	n.perform(n.machine.SetWaiting(w.waits(), n.clock()))
	n.configure()
	n.ticking(n.run)
}

// soon has something done as soon as the node does anything at all: at once, or
// when it thaws.
func (n *node) soon(do func()) {
	if n.frozen {
		n.held = append(n.held, do)
		return
	}
	do()
}

func (n *node) thaw() {
	held := n.held
	n.frozen, n.held, n.thawed = false, nil, n.w.now
	for _, do := range held {
		do()
	}
}

func (n *node) configure() {
	if n.machine == nil {
		return
	}
	m := n.members
	m.Self = n.server
	n.perform(n.machine.Configure(m, n.w.conf.Timings, n.clock()))
	for _, c := range m.Connectors {
		if slices.Contains(c.Local, n.server) && !n.w.scripted && !n.mails[c.GUID] {
			n.mails[c.GUID] = true
			n.mailing(c.GUID, n.run)
		}
	}
}

func (n *node) ticking(run int) {
	n.w.after(n.machine.TickInterval(), func() {
		n.soon(func() {
			if n.run == run && n.machine != nil {
				n.perform(n.machine.Tick(n.clock()))
				n.ticking(run)
			}
		})
	})
}

// mailing sends a message over a connector now and then.
func (n *node) mailing(connector linkstate.GUID, run int) {
	n.w.after(n.w.upTo(4*time.Second), func() {
		n.soon(func() {
			if n.run == run && n.machine != nil {
				if _, waits := n.w.waiting[connector]; !waits {
					n.result(connector, n.w.usable(n, connector))
				}
				n.mailing(connector, run)
			}
		})
	})
}

func (n *node) result(connector linkstate.GUID, ok bool) {
	reason := ""
	if !ok {
		reason = "connection refused"
	}
	n.perform(n.machine.LinkResult(connector, ok, reason, n.clock()))
}

// perform does what the machine wants, and checks the rules that hold at any time.
func (n *node) perform(effects []linkstate.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case linkstate.Connect:
			n.wants[e.Peer] = true
			n.dial(e.Peer, n.run)
		case linkstate.Disconnect:
			delete(n.wants, e.Peer)
			n.hangUp(e.Peer)
		case linkstate.Reset:
			n.w.note("%s gives up its stream to %s: %s", label(n.server), label(e.Peer), e.Reason)
			n.hangUp(e.Peer)
			n.dial(e.Peer, n.run)
		case linkstate.Send:
			n.w.send(n, e.Peer, e.Frame)
		case linkstate.Probe:
			run := n.run
			n.w.detail("%s probes %s", label(n.server), label(e.Connector))
			n.w.after(2*n.w.delay(), func() {
				n.soon(func() {
					if n.run == run && n.machine != nil {
						n.result(e.Connector, n.w.usable(n, e.Connector))
					}
				})
			})
		case linkstate.Woke:
			n.w.detail("%s has stood still for %v", label(n.server), e.After.Round(time.Millisecond))
		case linkstate.Persist:
			n.disk, n.savedAt = n.machine.Table().All(), n.w.now
		}
	}
	n.check()
}

// check compares the table with the one before.
func (n *node) check() {
	n.highest = max(n.highest, n.machine.Incarnation())
	table := n.machine.Table()
	if table == n.last {
		return
	}
	for _, r := range table.All() {
		before := n.last.Get(r.Server)
		if before == r {
			continue
		}
		if !n.w.silent {
			n.w.note("%s: %s", label(n.server), n.w.statement(r))
		}
		n.checkRecord(before, r)
	}
	n.last = table
}

func (n *node) checkRecord(before, r *linkstate.Record) {
	if before != nil && linkstate.Compare(before, r) > 0 {
		n.broken("%s replaced a record of %s by an older one: %+v by %+v", label(n.server), label(r.Server), before, r)
	}
	if before != nil && before.Incarnation == r.Incarnation && before.Status == r.Status && r.Sequence < before.Sequence {
		n.broken("sequence of %s went back from %d to %d", label(r.Server), before.Sequence, r.Sequence)
	}
	if r.Server == n.server && before != nil {
		n.checkWaiting(before, r)
	}
	maker := n.w.node(r.Server)
	if r.Incarnation > maker.highest && maker != n {
		n.broken("%s has incarnation %d of %s, which never had more than %d", label(n.server), r.Incarnation, label(r.Server), maker.highest)
	}
	if !n.configured(r.Server) {
		n.broken("%s took a record of %s, which its directory does not have", label(n.server), label(r.Server))
	}
}

// checkWaiting: no connector goes down for waiting. A probe that was out when the
// waiting began may still have its say, and one that is asked for always.
func (n *node) checkWaiting(before, now *linkstate.Record) {
	for _, c := range now.Connectors {
		since, waits := n.w.waiting[c.Connector]
		if n.thawed.After(since) {
			since = n.thawed // the results of its probes came with that
		}
		was, known := before.Connector(c.Connector)
		if waits && known && c.Down && !was.Down && n.w.now.Sub(since) > probeTime && n.w.conf.Detection.IdleProbe == 0 {
			n.broken("%s says that %s is down, which nobody used: it waits", label(n.server), label(c.Connector))
		}
	}
}

// probeTime is more than a probe takes.
const probeTime = time.Second

// configured says whether a server is in this node's directory; before the
// first Configure anything may be in the restored table.
func (n *node) configured(server linkstate.GUID) bool {
	return n.last.Len() == 0 || n.knows(server)
}

func (n *node) broken(format string, args ...any) {
	if n.w.err == nil {
		n.w.err = fmt.Errorf(format, args...)
	}
}

// statement is a record in words. Incarnations are counted from the epoch.
func (w *World) statement(r *linkstate.Record) string {
	text := fmt.Sprintf("%s is %s", label(r.Server), r.Status)
	if r.Incarnation > 0 {
		text += fmt.Sprintf(" (%d.%d)", int64(r.Incarnation)-epoch.Unix(), r.Sequence)
	}
	if !r.Accuser.IsZero() {
		text += ", says " + label(r.Accuser)
	}
	if r.Drain != linkstate.DrainNone {
		text += []string{"", ", drained softly", ", drained hard"}[min(r.Drain, 2)]
	}
	for i := range r.Connectors {
		if c := &r.Connectors[i]; c.Down {
			text += "; " + label(c.Connector) + " down"
			if c.SuppressedUntil != 0 {
				text += fmt.Sprintf(", suppressed until %.3fs", time.UnixMilli(c.SuppressedUntil).Sub(epoch).Seconds())
			}
		}
	}
	return text
}
