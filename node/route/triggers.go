package route

import (
	"reflect"
	"strconv"

	"github.com/postroad/postroad/routing"
)

// triggers says what differs between two maps, as an operator would ask: the
// directory first, then servers, then links.
func triggers(before, after *view) []string {
	var l lines
	if a, b := before.conf.Revision(), after.conf.Revision(); a != b {
		l.add("directory revision " + strconv.FormatInt(b, 10) + ", was " + strconv.FormatInt(a, 10))
	}
	differences(&l, "group", before.top.Groups, after.top.Groups, groupKey, func(_, _ *routing.Group) string { return "" })
	differences(&l, "server", before.top.Servers, after.top.Servers, serverKey, serverChange)
	differences(&l, "connector", before.top.Connectors, after.top.Connectors, connectorKey, func(a, b *routing.Connector) string {
		for _, s := range after.bridgeheadChanges(a, b) {
			l.add("connector " + b.Name + ": " + s)
		}
		return connectorChange(a, b)
	})
	return l.all()
}

func groupKey(g *routing.Group) (routing.GUID, string)         { return g.GUID, g.Name }
func serverKey(s *routing.Server) (routing.GUID, string)       { return s.GUID, s.Name }
func connectorKey(c *routing.Connector) (routing.GUID, string) { return c.GUID, c.Name }

// differences reports what was added, removed, or has changed by what changed
// says of it.
func differences[T any](l *lines, kind string, before, after []T, key func(*T) (routing.GUID, string), changed func(a, b *T) string) {
	old := make(map[routing.GUID]*T, len(before))
	for i := range before {
		g, _ := key(&before[i])
		old[g] = &before[i]
	}
	for i := range after {
		g, name := key(&after[i])
		a := old[g]
		delete(old, g)
		if a == nil {
			l.add(kind + " " + name + ": new")
		} else if s := changed(a, &after[i]); s != "" {
			l.add(kind + " " + name + ": " + s)
		}
	}
	for i := range before {
		if g, name := key(&before[i]); old[g] != nil {
			l.add(kind + " " + name + ": gone")
		}
	}
}

func serverChange(a, b *routing.Server) string {
	switch {
	case a.Up && !b.Up:
		return orWord(b.Reason, "down")
	case !a.Up && b.Up:
		return "up"
	case a.Drain != b.Drain && b.Drain == routing.DrainNone:
		return "no longer drained"
	case a.Drain != b.Drain:
		return "drained (" + drainWord(b.Drain) + ")"
	case a.Group != b.Group:
		return "in another group"
	case a.Unheard && !b.Unheard:
		return "heard of for the first time"
	case !a.Unheard && b.Unheard:
		return "no longer heard of"
	}
	return ""
}

// connectorChange compares all but the states of the bridgeheads.
func connectorChange(a, b *routing.Connector) string {
	x, y := *a, *b
	x.Bridgeheads, y.Bridgeheads = nil, nil
	if reflect.DeepEqual(x, y) {
		return ""
	}
	switch {
	case !a.Disabled && b.Disabled:
		return "disabled"
	case a.Disabled && !b.Disabled:
		return "enabled"
	case !reflect.DeepEqual(a.Targets, b.Targets) && len(a.Targets) == 1 && len(b.Targets) == 1:
		return "cost " + strconv.Itoa(b.Targets[0].Cost) + ", was " + strconv.Itoa(a.Targets[0].Cost)
	}
	return "configured otherwise"
}

// bridgeheadChanges tells which bridgeheads came, went or changed their word of
// the link.
func (v *view) bridgeheadChanges(a, b *routing.Connector) []string {
	old := make(map[routing.GUID]*routing.Bridgehead, len(a.Bridgeheads))
	for i := range a.Bridgeheads {
		old[a.Bridgeheads[i].Server] = &a.Bridgeheads[i]
	}
	var out []string
	for i := range b.Bridgeheads {
		h := &b.Bridgeheads[i]
		was := old[h.Server]
		delete(old, h.Server)
		switch {
		case was == nil:
			out = append(out, v.serverName(h.Server)+" became a bridgehead")
		case was.Up && !h.Up:
			out = append(out, "down at "+v.serverName(h.Server)+": "+orWord(h.Reason, "no reason given"))
		case !was.Up && h.Up:
			out = append(out, "up at "+v.serverName(h.Server))
		case !was.Damped && h.Damped, was.Damped && !h.Damped:
			// Both are down, but a link that flaps is still tried as a last resort.
			out = append(out, "down at "+v.serverName(h.Server)+" otherwise: "+orWord(h.Reason, "no reason given"))
		}
	}
	for i := range a.Bridgeheads {
		if s := a.Bridgeheads[i].Server; old[s] != nil {
			out = append(out, v.serverName(s)+" is no longer a bridgehead")
		}
	}
	return out
}

func orWord(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
