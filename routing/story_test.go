package routing

import (
	"crypto/md5"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// guid makes the GUID of a name; stories speak of names only.
func guid(name string) GUID {
	if name == "" {
		return GUID{}
	}
	return md5.Sum([]byte(name))
}

// story is a topology written down line by line, and questions to it.
type story struct {
	top   Topology
	names map[GUID]string
	out   strings.Builder
}

// TestStories runs testdata/*.story: a map, then events and questions. What the
// table answers, with its reasons, is in the .golden file beside it.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &story{names: make(map[GUID]string)}
			for i, line := range strings.Split(string(text), "\n") {
				if err := s.line(line); err != nil {
					t.Fatalf("%s:%d: %v", file, i+1, err)
				}
			}
			golden := strings.TrimSuffix(file, ".story") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(s.out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.out.String(); got != string(want) {
				t.Errorf("the answers changed; -update if they should\n%s", difference(string(want), got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant: %s\ngot:  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

// options are the words after the fixed ones: "flag" or "key=value".
type options map[string]string

func parseOptions(words []string) options {
	o := make(options)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		o[k] = v
	}
	return o
}

func (o options) has(k string) bool { _, ok := o[k]; return ok }

func (o options) list(k string) []string {
	if o[k] == "" {
		return nil
	}
	return strings.Split(o[k], ",")
}

func (o options) number(k string) int64 {
	n, _ := strconv.ParseInt(o[k], 10, 64)
	return n
}

func (s *story) guid(name string) GUID {
	g := guid(name)
	s.names[g] = name
	return g
}

// line reads one line of a story. Lines that begin with "|" are the drawing.
func (s *story) line(line string) error {
	if line = strings.TrimSpace(line); line == "" || line[0] == '|' || line[0] == '#' {
		return nil
	}
	w := strings.Fields(line)
	o := parseOptions(w[1:])
	switch w[0] {
	case "self":
		s.top.Self = s.guid(w[1])
	case "direct":
		s.top.Direct = true
	case "server": // server NAME GROUP [down] [drain=soft|hard]
		g := s.guid(w[2])
		if !s.hasGroup(g) {
			s.top.Groups = append(s.top.Groups, Group{g, w[2]})
		}
		s.top.Servers = append(s.top.Servers, Server{GUID: s.guid(w[1]), Name: w[1], Group: g, Up: true})
	case "rgc", "smtp", "foreign":
		return s.connector(w[0], w[1:], o)
	case "set": // set NAME WORDS...: an event
		return s.set(w[1], parseOptions(w[2:]))
	case "ask":
		s.ask(line, w[1:])
	case "share": // like ask, for each bucket
		s.share(line, w[1:])
	default:
		return fmt.Errorf("unknown word %q", w[0])
	}
	return nil
}

func (s *story) hasGroup(g GUID) bool {
	for _, x := range s.top.Groups {
		if x.GUID == g {
			return true
		}
	}
	return false
}

// connector reads "rgc NAME SOURCE TARGET COST", "smtp NAME GROUP", "foreign NAME GROUP".
func (s *story) connector(kind string, w []string, o options) error {
	c := Connector{GUID: s.guid(w[0]), Name: w[0], Group: guid(w[1])}
	switch kind {
	case "rgc":
		cost, err := strconv.Atoi(w[3])
		if err != nil {
			return err
		}
		c.Targets = []Edge{{guid(w[2]), cost}}
	case "smtp":
		c.Kind = SMTPConnector
	case "foreign":
		c.Kind = ForeignConnector
	}
	for _, b := range o.list("local") {
		c.Bridgeheads = append(c.Bridgeheads, Bridgehead{Server: guid(b), Up: true})
	}
	for _, b := range o.list("remote") {
		c.Remote = append(c.Remote, guid(b))
	}
	for _, to := range o.list("to") {
		group, cost, _ := strings.Cut(to, ";")
		n, _ := strconv.Atoi(cost)
		c.Targets = append(c.Targets, Edge{guid(group), n})
	}
	for _, as := range o.list("space") {
		typ, rest, _ := strings.Cut(as, ":")
		pattern, cost, _ := strings.Cut(rest, ";")
		n, _ := strconv.Atoi(cost)
		c.AddressSpaces = append(c.AddressSpaces, AddressSpace{typ, pattern, n})
	}
	restrict(&c, o)
	s.top.Connectors = append(s.top.Connectors, c)
	return nil
}

func restrict(c *Connector, o options) {
	if o["scope"] == "group" {
		c.Scope = ScopeGroup
	}
	if o.has("hold") {
		c.OnLinkDown = Hold
	}
	if o.has("disabled") {
		c.Disabled = o["disabled"] != "no"
	}
	c.Fallback = c.Fallback || o.has("fallback")
	c.NoSystem = c.NoSystem || o.has("nosystem")
	c.NoUser = c.NoUser || o.has("nouser")
	if o.has("size") {
		c.MaxSize = o.number("size")
	}
	if o.has("spread") {
		c.Spread = PerMessage
		if o["spread"] == "no" {
			c.Spread = PerServer
		}
	}
	if o.has("weight") {
		c.Weight = int(o.number("weight"))
	}
	for _, w := range o.list("weights") {
		server, n, _ := strings.Cut(w, ":")
		if c.Weights == nil {
			c.Weights = map[GUID]int{}
		}
		c.Weights[guid(server)], _ = strconv.Atoi(n)
	}
	if o.has("drain") {
		c.Drain = map[string]Drain{"soft": DrainSoft, "hard": DrainHard}[o["drain"]]
	}
	if o.has("accept") {
		c.Accept = senderIDs(o.list("accept"))
	}
	if o.has("reject") {
		c.Reject = senderIDs(o.list("reject"))
	}
	for _, p := range o.list("priorities") {
		c.Priorities |= map[string]Priorities{"low": AllowLow, "normal": AllowNormal, "high": AllowHigh}[p]
	}
}

// set changes a server ("set paris-1 down", "up", "drain=soft") or a connector
// ("set c disabled", "set c down=paris-1" for what one bridgehead says).
func (s *story) set(name string, o options) error {
	s.top.Servers = append([]Server(nil), s.top.Servers...)
	s.top.Connectors = append([]Connector(nil), s.top.Connectors...)
	for i := range s.top.Servers {
		if v := &s.top.Servers[i]; v.Name == name {
			v.Up = !o.has("down")
			v.Drain = map[string]Drain{"soft": DrainSoft, "hard": DrainHard}[o["drain"]]
			return nil
		}
	}
	for i := range s.top.Connectors {
		c := &s.top.Connectors[i]
		if c.Name != name {
			continue
		}
		restrict(c, o)
		c.Bridgeheads = append([]Bridgehead(nil), c.Bridgeheads...)
		for j := range c.Bridgeheads {
			b := &c.Bridgeheads[j]
			for _, down := range o.list("down") {
				if b.Server == guid(down) {
					b.Up, b.Reason, b.SinceMS = false, "connection refused", 1000
				}
			}
			if o.has("up") {
				*b = Bridgehead{Server: b.Server, Up: true}
			}
		}
		return nil
	}
	return fmt.Errorf("no server and no connector is called %q", name)
}

func senderIDs(list []string) []SenderID {
	var ids []SenderID
	for _, text := range list {
		n, _ := strconv.ParseUint(text, 10, 64)
		ids = append(ids, SenderID(n))
	}
	slices.Sort(ids)
	return ids
}

// share tells how many of the buckets go which way.
func (s *story) share(line string, w []string) {
	o := parseOptions(w)
	top := s.top
	if o.has("from") {
		top.Self = guid(o["from"])
	}
	t := Build(top)
	count := make(map[string]int)
	for b := 1; b <= Buckets; b++ {
		m := &Message{Bucket: uint8(b)}
		d := t.ToServer(guid(w[1]), m)
		if w[0] == "address" {
			d = t.ToAddress(w[1], w[2], m)
		}
		way := d.Kind.String()
		for _, g := range []GUID{d.Next, d.Via, d.Connector} {
			if !g.IsZero() {
				way += " " + s.names[g]
			}
		}
		count[way]++
	}
	fmt.Fprintf(&s.out, "%s\n", line)
	for _, way := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&s.out, "  %2d of %d: %s\n", count[way], Buckets, way)
	}
}

// ask asks "server NAME" or "address TYPE ADDRESS", then what the message is.
func (s *story) ask(line string, w []string) {
	o := parseOptions(w)
	top := s.top
	if o.has("from") {
		top.Self = guid(o["from"])
	}
	m := &Message{SizeBound: o.number("size"), Priority: int8(o.number("priority")), System: o.has("system"), Connector: guid(o["connector"]), Sender: NewSenderSet(senderIDs(o.list("sender"))...), Bucket: uint8(o.number("bucket"))}
	for _, v := range o.list("visited") {
		m.Visited = append(m.Visited, guid(v))
	}
	t := Build(top)
	fmt.Fprintf(&s.out, "%s\n", line)
	if w[0] == "server" {
		s.tell(t.ExplainServer(guid(w[1]), m), t.ToServer(guid(w[1]), m))
		return
	}
	s.tell(t.ExplainAddress(w[1], w[2], m), t.ToAddress(w[1], w[2], m))
}

func (s *story) tell(x Explanation, d Decision) {
	if a, b := fmt.Sprint(d), fmt.Sprint(plain(x.Decision)); a != b {
		fmt.Fprintf(&s.out, "  THE EXPLANATION IS OF ANOTHER DECISION: %s, %s\n", a, b)
	}
	fmt.Fprintf(&s.out, "  = %s", x.Kind)
	for _, p := range []struct{ word, text string }{
		{"next", s.list(x.NextServers)}, {"into", s.names[x.NextGroup]}, {"connector", s.names[x.Connector]},
		{"via", s.names[x.Via]}, {"path", s.list(x.Path)},
	} {
		if p.text != "" {
			fmt.Fprintf(&s.out, " %s=%s", p.word, p.text)
		}
	}
	if x.Cost > 0 {
		fmt.Fprintf(&s.out, " cost=%d", x.Cost)
	}
	for _, p := range []struct {
		word string
		is   bool
	}{{"too-large", x.TooLarge}, {"forbidden", x.Forbidden}, {"spread", x.Spread}} {
		if p.is {
			s.out.WriteString(" " + p.word)
		}
	}
	s.out.WriteByte('\n')
	for _, c := range x.Candidates {
		mark := "-"
		if c.Chosen {
			mark = "+"
		}
		fmt.Fprintf(&s.out, "  %s %s %s %d [%s] %s\n", mark, s.names[c.Connector], c.AddressSpace, c.Cost, s.list(c.Path), c.Reason)
	}
	for _, b := range x.Bridgeheads {
		fmt.Fprintf(&s.out, "    %s remote=%t up=%t chosen=%t %s\n", s.names[b.Server], b.Remote, b.Up, b.Chosen, b.Reason)
	}
	for _, r := range x.Reasons {
		fmt.Fprintf(&s.out, "    : %s\n", r)
	}
}

func plain(d Decision) Decision { d.Path = nil; return d }

func (s *story) list(list []GUID) string {
	var names []string
	for _, g := range list {
		names = append(names, s.names[g])
	}
	return strings.Join(names, ",")
}
