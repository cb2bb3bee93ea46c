package routing

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file finds words for mail that cannot move. It allocates; mail that waits
// is asked about once for each queue and change of the map.

func (q *question) note(text string) {
	if q.rec != nil {
		q.rec.reasons = append(q.rec.reasons, text)
	}
}

// stuck decides for addresses whose connectors are all out of reach. The most
// hopeful of their verdicts counts: waiting before loop before no route.
func (q *question) stuck(l *level) Decision {
	d := Decision{Kind: NoRoute, TooLarge: true, Forbidden: true}
	var why []string
	for i := range l.spaces {
		conn := l.spaces[i].conn
		if q.barred(conn, true) != barNone {
			continue
		}
		one := Decision{Kind: Unreachable}
		if q.t.conns[conn].state == stateDown {
			one.Reason, one.Waits = q.t.down(conn), q.t.top.Connectors[conn].GUID
		} else {
			one = q.unreachable(q.t.conns[conn].group)
		}
		if one.Kind == Unreachable || one.Kind == Loop && d.Kind == NoRoute {
			d.Kind = one.Kind
		}
		if d.Waits.IsZero() {
			d.Waits = one.Waits
		}
		d.TooLarge, d.Forbidden = d.TooLarge && one.TooLarge, d.Forbidden && one.Forbidden
		if len(why) < maxListed {
			why = append(why, q.t.connName(conn)+": "+one.Reason)
		}
	}
	d.TooLarge, d.Forbidden = d.TooLarge && d.Kind == NoRoute, d.Forbidden && d.Kind == NoRoute
	d.Reason = strings.Join(why, "; ")
	return d
}

// maxListed bounds how many connectors a reason names.
const maxListed = 4

// nothing decides when no connector is left that the message may use.
func (q *question) nothing(typ string) Decision {
	switch why := q.seen.without(barScope); {
	case why.has(barDisabled) || why.has(barDrained):
		// An administrator's pause must not bounce mail, nor send it out past
		// the connector.
		return Decision{Kind: Unreachable, Reason: "the connectors that serve the address are disabled or drained"}
	case typ == typeSMTP && q.t.top.Direct && !q.t.anywhere:
		return Decision{Kind: Direct, Reason: reasonDirect}
	case why.only(barSize):
		return Decision{Kind: NoRoute, TooLarge: true, Reason: "larger than every connector that serves the address allows"}
	case why.only(barSender):
		return Decision{Kind: NoRoute, Forbidden: true, Reason: "no connector that serves the address takes mail of this sender"}
	case why != 0:
		return Decision{Kind: NoRoute, Reason: "every connector that serves the address excludes messages of this size, priority, type or sender"}
	}
	return Decision{Kind: NoRoute, Reason: reasonNoMatch}
}

// unreachable decides for a group to which no path leads now.
func (q *question) unreachable(group int32) Decision {
	t := q.t
	name := t.top.Groups[group].Name
	if q.live.dist[group] != noPath {
		if slices.Contains(q.m.Visited, t.top.Groups[group].GUID) {
			return Decision{Kind: Loop, Reason: "the message has been in group " + name + " before"}
		}
		return Decision{Kind: Loop, Reason: "the only way to group " + name + " leads back through group " +
			q.firstVisited(group) + ", which the message has visited"}
	}
	if q.configured == nil {
		q.configured = t.search(&t.graph, t.group, filter{m: q.m, all: true})
	}
	if q.configured.dist[group] == noPath {
		return q.barredFrom(group)
	}
	why, conn := q.firstDown(group)
	return Decision{Kind: Unreachable, Waits: conn, Reason: "group " + name + " cannot be reached: " + why}
}

// barredFrom decides for a group that no path would reach for this message even
// if all connectors were up. Only restrictions make that final: where connectors
// are missing an administrator may still be drawing the map.
func (q *question) barredFrom(group int32) Decision {
	t := q.t
	name := t.top.Groups[group].Name
	if q.unrestricted == nil {
		q.unrestricted = t.search(&t.graph, t.group, filter{all: true})
		m := *q.m
		m.SizeBound = 0
		q.unlimited = t.search(&t.graph, t.group, filter{m: &m, all: true})
		m.SizeBound, m.anyone = q.m.SizeBound, true
		q.anyones = t.search(&t.graph, t.group, filter{m: &m, all: true})
	}
	switch {
	case q.unrestricted.dist[group] == noPath:
		return Decision{Kind: Unreachable, Reason: "no connectors lead from group " + t.top.Groups[t.group].Name + " to group " + name}
	case q.unlimited.dist[group] != noPath:
		return Decision{Kind: NoRoute, TooLarge: true, Reason: "larger than the connectors to group " + name + " allow"}
	case q.anyones.dist[group] != noPath:
		return Decision{Kind: NoRoute, Forbidden: true, Reason: "the connectors to group " + name + " do not take mail of this sender"}
	}
	return Decision{Kind: NoRoute, Reason: "the connectors to group " + name + " exclude messages of this size, priority, type or sender"}
}

// firstVisited names the first visited group on the live path.
func (q *question) firstVisited(group int32) string {
	for _, g := range q.live.groups(&q.t.graph, group)[1:] {
		if slices.Contains(q.m.Visited, q.t.top.Groups[g].GUID) {
			return q.t.top.Groups[g].Name
		}
	}
	return ""
}

// firstDown describes the first connector on the configured path that no mail
// can take.
func (q *question) firstDown(group int32) (why string, conn GUID) {
	t := q.t
	path := q.configured.groups(&t.graph, group)
	for _, g := range path[1:] {
		e := &t.graph.edges[q.configured.parent[g]]
		if !t.conns[e.conn].state.usable() {
			return t.connName(e.conn) + ": " + t.down(e.conn), t.top.Connectors[e.conn].GUID
		}
	}
	return "its connectors are down", GUID{}
}

func (t *Table) held(conn int32) string {
	return t.connName(conn) + ": " + t.down(conn) + "; it holds its mail while it is down"
}

// down says why a connector cannot be used.
func (t *Table) down(conn int32) string {
	c := &t.top.Connectors[conn]
	switch t.conns[conn].off {
	case barDisabled:
		return "disabled"
	case barDrained:
		return "drained"
	}
	if text, dead := t.dead(t.locals(c, nil)); dead {
		return "down: " + text
	}
	if text, dead := t.dead(t.remotes(c, nil)); dead && c.Kind == RoutingGroupConnector {
		return "down: remote bridgeheads: " + text
	}
	return "up"
}

// dead says whether no bridgehead of a list is up, and why.
func (t *Table) dead(list []Ranked) (string, bool) {
	if up, _ := anyUp(list); up {
		return "", false
	}
	if len(list) == 0 {
		return "it has no bridgehead", true
	}
	var why []string
	for i, r := range list {
		if i == maxListed {
			why = append(why, "and "+strconv.Itoa(len(list)-i)+" more")
			break
		}
		why = append(why, t.serverName(r.Server)+": "+orElse(r.Reason, "down"))
	}
	return strings.Join(why, ", "), true
}

func (t *Table) connName(conn int32) string { return "connector " + t.top.Connectors[conn].Name }

func (t *Table) serverName(g GUID) string {
	if i, ok := t.serverAt.get(g); ok {
		return t.top.Servers[i].Name
	}
	return "unknown server"
}

// since adds the time to a reason.
func since(reason string, ms int64) string {
	reason = orElse(reason, "link down")
	if ms <= 0 {
		return reason
	}
	return reason + ", since " + time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
