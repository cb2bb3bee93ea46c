package draw

import (
	"fmt"
	"strings"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// namesListed bounds the names that one line of troubles has.
const namesListed = 8

// troubles sums up what is not simply up, so that nobody has to look for it in a long
// list; nothing if all is well.
func troubles(m *topologyv1.ShowResponse) []string {
	var servers, connectors []string
	for _, g := range m.GetGroups() {
		for _, s := range g.GetServers() {
			if text := serverText(s); text != s.GetName() {
				servers = append(servers, text)
			}
		}
	}
	queued, waited, seen := int64(0), 0, make(map[string]bool)
	for _, k := range m.GetConnectors() {
		if seen[k.GetName()] {
			continue // one that leads to several groups
		}
		seen[k.GetName()] = true
		if n := k.GetQueued(); n > 0 {
			queued, waited = queued+n, waited+1
		}
		e := edge{connector: k}
		if words := e.stateWords(); words != "" {
			connectors = append(connectors, k.GetName()+" "+words)
		}
	}
	var lines []string
	add := func(what string, list []string, of int) {
		if len(list) == 0 {
			return
		}
		some := list[:min(len(list), namesListed)]
		line := fmt.Sprintf("%d of %s not simply up: %s", len(list), plural(of, what), strings.Join(some, "; "))
		if more := len(list) - len(some); more > 0 {
			line += fmt.Sprintf("; and %d more", more)
		}
		lines = append(lines, line)
	}
	all := 0
	for _, g := range m.GetGroups() {
		all += len(g.GetServers())
	}
	add("server", servers, all)
	add("connector", connectors, len(seen))
	if queued > 0 {
		lines = append(lines, plural(int(queued), "message")+" queued for "+plural(waited, "connector"))
	}
	return lines
}
