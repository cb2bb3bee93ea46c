package routing

// Moved compares what two tables of one server decide for plain messages.
// number counts the destinations of both maps: servers and address spaces; each
// is called for those whose next hop differs: the GUID of a server or the
// written form of an address space ("SMTP:*.net"), with both decisions.
func Moved(before, after *Table, each func(server GUID, space string, a, b Decision)) (number int) {
	servers := make(map[GUID]bool, len(before.serverGUIDs))
	for _, list := range [][]GUID{before.serverGUIDs, after.serverGUIDs} {
		for _, s := range list {
			if servers[s] {
				continue
			}
			servers[s] = true
			if a, b := before.ToServer(s, nil), after.ToServer(s, nil); a.differs(&b) {
				each(s, "", a, b)
			}
		}
	}
	spaces := spacesOf(&before.top, &after.top)
	for _, p := range spaces {
		example := p.example()
		if a, b := before.ToAddress(p.typ, example, nil), after.ToAddress(p.typ, example, nil); a.differs(&b) {
			each(GUID{}, p.typ+":"+p.text, a, b)
		}
	}
	return len(servers) + len(spaces)
}

// differs says whether the next hop is another one.
func (d *Decision) differs(o *Decision) bool {
	return d.Kind != o.Kind || d.Next != o.Next || d.Via != o.Via || d.Connector != o.Connector || d.NextGroup != o.NextGroup
}
