package routing

import "strings"

// Space gives the most specific address space, of any connector, that matches an
// address: "SMTP:*.net". It is "" where none does. It says which space an address
// counts for; whether a connector with it may be used is not looked at.
func (t *Table) Space(typ, address string) string {
	typ = upperType(typ)
	x := t.spaces[typ]
	if x == nil {
		return ""
	}
	c := x.match(canonical(typ, address))
	l := c.next()
	if l == nil || len(l.spaces) == 0 {
		return ""
	}
	s := l.spaces[0]
	return typ + ":" + strings.ToLower(t.top.Connectors[s.conn].AddressSpaces[s.at].Pattern)
}
