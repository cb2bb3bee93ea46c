package routing

import (
	"slices"
	"strings"
)

// typeSMTP is the address type whose addresses are domains.
const typeSMTP = "SMTP"

// spaceIndex finds the address spaces of one type by their patterns.
type spaceIndex struct {
	smtp     bool
	exact    map[string]*level
	ends     map[string]*level // text after the last wildcard
	begins   map[string]*level // text before a final wildcard; never for SMTP
	any      *level            // "*"
	anywhere bool              // some ends do not begin at a dot
	longest  int               // of the keys of ends and begins
}

// level is the spaces with one pattern: they are equally specific.
type level struct{ spaces []space }

type space struct {
	conn int32
	cost metric
	// at is the index into the connector's AddressSpaces.
	at int32
}

func (t *Table) indexSpaces() {
	t.spaces = make(map[string]*spaceIndex)
	for i := range t.top.Connectors {
		c := &t.top.Connectors[i]
		if t.conns[i].group < 0 {
			continue
		}
		for at := range c.AddressSpaces {
			as := &c.AddressSpaces[at]
			l := t.levelFor(upperType(as.Type), as.Pattern)
			l.spaces = append(l.spaces, space{conn: int32(i), cost: costMetric(as.Cost), at: int32(at)})
		}
	}
	t.anywhere = t.serveAnywhere()
}

// serveAnywhere says whether a connector in scope serves SMTP:*.
func (t *Table) serveAnywhere() bool {
	x := t.spaces[typeSMTP]
	return x != nil && slices.ContainsFunc(x.any.spaces, func(s space) bool { return !t.away(s.conn) })
}

func upperType(typ string) string {
	if typ == "" {
		return typeSMTP
	}
	return strings.ToUpper(typ)
}

func (t *Table) levelFor(typ, pattern string) *level {
	x := t.spaces[typ]
	if x == nil {
		x = &spaceIndex{
			smtp: typ == typeSMTP, any: &level{},
			exact: make(map[string]*level), ends: make(map[string]*level), begins: make(map[string]*level),
		}
		t.spaces[typ] = x
	}
	pattern = strings.ToLower(pattern)
	last := strings.LastIndexByte(pattern, '*')
	switch {
	case last < 0:
		return at(x.exact, pattern)
	case strings.Trim(pattern, "*") == "":
		return x.any
	case !x.smtp && last == len(pattern)-1:
		key := pattern[:strings.IndexByte(pattern, '*')]
		if key == "" { // "*text*" says nothing about either end
			return x.any
		}
		x.longest = max(x.longest, len(key))
		return at(x.begins, key)
	}
	key := pattern[last+1:]
	if key == "" {
		return x.any
	}
	x.longest = max(x.longest, len(key))
	x.anywhere = x.anywhere || key[0] != '.'
	return at(x.ends, key)
}

func at(m map[string]*level, key string) *level {
	l := m[key]
	if l == nil {
		l = &level{}
		m[key] = l
	}
	return l
}

// cursor walks over the levels that match an address, the most specific first:
// the exact one, then by the length of the text beside the wildcard (the
// beginning before the end when both are equally long), then "*".
type cursor struct {
	x       *spaceIndex
	address string
	// left is the length of the text looked for next; -1: the exact level is
	// next, 0: "*" is next, -2: done.
	left   int
	begins bool // the beginning of length left was looked up
}

func (x *spaceIndex) match(address string) cursor {
	return cursor{x: x, address: address, left: -1}
}

// next gives the next level, nil at the end.
func (c *cursor) next() *level {
	if c.x == nil {
		return nil
	}
	if c.left == -1 {
		// A wildcard stands for at least one character.
		c.left = min(c.x.longest, len(c.address)-1)
		c.left = max(c.left, 0)
		if l := c.x.exact[c.address]; l != nil {
			return l
		}
	}
	for c.left > 0 {
		if l := c.step(); l != nil {
			return l
		}
	}
	if c.left == 0 {
		c.left = -2
		if len(c.x.any.spaces) > 0 {
			return c.x.any
		}
	}
	return nil
}

func (c *cursor) step() *level {
	if !c.begins && len(c.x.begins) > 0 {
		c.begins = true
		if l := c.x.begins[c.address[:c.left]]; l != nil {
			return l
		}
	}
	from := len(c.address) - c.left
	c.left--
	c.begins = false
	if !c.x.anywhere && c.address[from] != '.' {
		return nil
	}
	return c.x.ends[c.address[from:]]
}

// canonical is the form in which addresses are matched: for SMTP the domain,
// for other types the whole address, in lower case.
func canonical(typ, address string) string {
	if typ == typeSMTP {
		address = address[strings.LastIndexByte(address, '@')+1:]
		address = strings.TrimSuffix(address, ".")
	}
	return strings.ToLower(address)
}
