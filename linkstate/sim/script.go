package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// Play runs a scenario and returns it with what happened recorded anew below
// each command. Lines that begin with "> " are commands, with "#" comments;
// everything else is the record of an earlier run and is replaced.
//
//	group NAME SERVER...              before start
//	connector NAME FROM,... -> TO,... before start; "outside" leads nowhere inside
//	set NAME=VALUE...                 before start; see settings
//	start [SERVER...]                 all without a name; with its old disk if it crashed
//	wait DURATION
//	mail CONNECTOR                    each living bridgehead sends a message over it
//	break CONNECTOR, mend CONNECTOR   mail over it fails, whatever gossip does
//	crash SERVER..., die SERVER...    the process; the host with it, so that streams hang
//	freeze SERVER..., thaw SERVER...  its process stands still, what is sent to it waits; it goes on
//	cut NAME NAME, heal               servers or groups no longer reach each other; all do again
//	deafen NAME NAME                  what the first sends to the second is lost, not the other way
//	remove SERVER, add SERVER GROUP   from the directory, and to it
//	unlink CONNECTOR, relink          out of the directory; all that were taken out are in it again
//	drain SERVER none|soft|hard       as the server says of itself
//	close CONNECTOR, open CONNECTOR   by its schedule: nobody sends over it while it is closed
//	clock SERVER DURATION             while it does not run: how far its clock is ahead
//	lose SERVER                       while it does not run: its disk is empty
//	protocol SERVER NUMBER            before start: the version it speaks
//	table SERVER                      show what it knows
//	agree                             check the rules of [World.Agreed]
//
// An error is about the script: a command that does not exist, an unknown name.
func Play(text string) (string, error) {
	p := player{w: empty(Config{
		Seed:  1,
		Delay: 10 * time.Millisecond,
		Timings: linkstate.Timings{
			Keepalive: time.Second, SuspectAfter: 5 * time.Second, RefuteWithin: 2 * time.Second, AntiEntropy: time.Minute,
		},
		Detection: linkstate.Detection{GlitchRetries: 2, GlitchInterval: time.Second, ProbeInterval: 10 * time.Second},
	})}
	p.w.scripted = true
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			p.w.trace = nil
			if err := p.do(strings.Fields(command)); err != nil {
				return "", fmt.Errorf("line %d, %q: %w", i+1, command, err)
			}
			fmt.Fprintln(&out, line)
			for _, l := range p.w.trace {
				fmt.Fprintln(&out, l)
			}
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String(), nil
}

// player is a world under the hand of a script.
type player struct {
	w      *World
	groups map[string][]linkstate.GUID
}

func (p *player) do(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("no command")
	}
	verb, args := words[0], words[1:]
	switch verb {
	case "group", "connector", "set", "protocol":
		return p.configure(verb, args)
	case "add", "drain", "clock":
		return p.change(verb, args)
	case "start", "crash", "die", "freeze", "thaw", "remove", "lose", "table":
		return p.servers(verb, args)
	case "mail", "break", "mend", "close", "open":
		return p.connectors(verb, args)
	case "wait":
		d, err := time.ParseDuration(strings.Join(args, ""))
		if err != nil {
			return err
		}
		return p.w.Run(d)
	case "cut", "deafen":
		return p.cut(args, verb == "cut")
	case "heal":
		p.w.Heal()
	case "unlink":
		p.w.Unlink(named(strings.Join(args, "")))
	case "relink":
		p.w.Relink()
	case "agree":
		if err := p.w.Agreed(); err != nil {
			return err
		}
		p.w.note("all that reach each other agree, and what they say is so")
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func (p *player) configure(verb string, args []string) error {
	d := &p.w.directory
	switch {
	case slices.ContainsFunc(p.w.nodes, func(n *node) bool { return n.run > 0 }):
		return fmt.Errorf("must come before start")
	case verb == "set":
		return p.set(args)
	case verb == "protocol" && len(args) == 2:
		n := p.w.node(named(args[0]))
		if n == nil {
			return fmt.Errorf("no server is called %q", args[0])
		}
		v, err := strconv.ParseUint(args[1], 10, 32)
		n.protocol = uint32(v)
		return err
	case verb == "group" && len(args) > 1:
		if p.groups == nil {
			p.groups = make(map[string][]linkstate.GUID)
		}
		for _, s := range args[1:] {
			p.groups[args[0]] = append(p.groups[args[0]], named(s))
			d.Servers = append(d.Servers, linkstate.Member{Server: named(s), Group: named(args[0])})
			p.w.addNode(named(s))
		}
		return nil
	case verb == "connector" && len(args) == 4 && args[2] == "->":
		c := linkstate.ConnectorInfo{GUID: named(args[0]), Detection: p.w.conf.Detection}
		var err error
		if c.Local, err = p.find(strings.Split(args[1], ",")); err != nil {
			return err
		}
		c.Group = p.w.group(c.Local[0])
		if args[3] != "outside" {
			c.Remote, err = p.find(strings.Split(args[3], ","))
		}
		d.Connectors = append(d.Connectors, c)
		return err
	}
	return fmt.Errorf("arguments missing")
}

// settings of a script, each of the whole organisation.
func (p *player) set(args []string) error {
	det := &p.w.conf.Detection
	durations := map[string]*time.Duration{
		"keepalive": &p.w.conf.Timings.Keepalive, "suspectAfter": &p.w.conf.Timings.SuspectAfter, "refuteWithin": &p.w.conf.Timings.RefuteWithin,
		"glitchInterval": &det.GlitchInterval, "probeInterval": &det.ProbeInterval, "idleProbe": &det.IdleProbe,
		"halfLife": &det.Damping.HalfLife, "maximum": &det.Damping.Maximum,
	}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		var err error
		switch v, ok := durations[name]; {
		case ok:
			*v, err = time.ParseDuration(value)
		case name == "glitchRetries":
			det.GlitchRetries, err = strconv.Atoi(value)
		case name == "suppress":
			det.Damping.Suppress, err = strconv.ParseFloat(value, 64)
		default:
			err = fmt.Errorf("no such setting")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find gives the GUIDs of servers or whole groups.
func (p *player) find(names []string) ([]linkstate.GUID, error) {
	var found []linkstate.GUID
	for _, name := range names {
		switch {
		case p.groups[name] != nil:
			found = append(found, p.groups[name]...)
		case p.w.node(named(name)) != nil:
			found = append(found, named(name))
		default:
			return nil, fmt.Errorf("no server or group is called %q", name)
		}
	}
	return found, nil
}

func (p *player) servers(verb string, args []string) error {
	servers, err := p.find(args)
	if err != nil {
		return err
	}
	if verb == "start" && len(args) == 0 {
		for _, n := range p.w.nodes {
			servers = append(servers, n.server)
		}
	}
	for _, s := range servers {
		n := p.w.node(s)
		switch {
		case verb == "start":
			if n.run == 0 {
				n.members = p.w.directory
			}
			p.w.start(n)
		case verb == "crash", verb == "die":
			p.w.Crash(s, verb == "die")
		case verb == "freeze":
			p.w.Freeze(s, time.Hour)
		case verb == "thaw":
			p.w.Thaw(s)
		case verb == "remove":
			p.w.Remove(s)
		case verb == "lose":
			n.disk = nil
		case n.machine == nil:
			return fmt.Errorf("%s does not run", label(s))
		default:
			p.w.note("%s knows:", label(s))
			for _, r := range n.machine.Table().All() {
				p.w.note("  %s", p.w.statement(r))
			}
		}
	}
	return nil
}

func (p *player) connectors(verb string, args []string) error {
	for _, name := range args {
		i := slices.IndexFunc(p.w.directory.Connectors, func(c linkstate.ConnectorInfo) bool { return c.GUID == named(name) })
		if i < 0 {
			return fmt.Errorf("no connector is called %q", name)
		}
		c := p.w.directory.Connectors[i]
		switch verb {
		case "break", "mend":
			p.w.broken[c.GUID] = verb == "break"
		case "close", "open":
			p.w.Wait(c.GUID, verb == "close")
		case "mail":
			for _, s := range c.Local {
				if n := p.w.node(s); n.machine != nil {
					p.w.note("%s sends a message over %s", label(s), name)
					n.result(c.GUID, p.w.usable(n, c.GUID))
				}
			}
		}
	}
	return p.w.err
}

// change is about one server and a word.
func (p *player) change(verb string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("needs a server and one word")
	}
	n := p.w.node(named(args[0]))
	if n == nil {
		return fmt.Errorf("no server is called %q", args[0])
	}
	switch verb {
	case "add":
		group := p.groups[args[1]]
		if group == nil {
			return fmt.Errorf("no group is called %q", args[1])
		}
		p.w.note("the directory gains %s", args[0])
		d := p.w.directory
		d.Servers = append(slices.Clone(d.Servers), linkstate.Member{Server: n.server, Group: named(args[1])})
		p.w.publish(d)
	case "clock":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		p.w.SetClock(n.server, d)
	case "drain":
		i := slices.Index([]string{"none", "soft", "hard"}, args[1])
		if i < 0 || n.machine == nil {
			return fmt.Errorf("needs a server that runs, and none, soft or hard")
		}
		n.perform(n.machine.SetDrain(linkstate.Drain(i), n.clock()))
	}
	return p.w.err
}

func (p *player) cut(args []string, both bool) error {
	if len(args) != 2 {
		return fmt.Errorf("needs two servers or groups")
	}
	a, err := p.find(args[:1])
	if err != nil {
		return err
	}
	b, err := p.find(args[1:])
	if err != nil {
		return err
	}
	for _, x := range a {
		for _, y := range b {
			p.w.Cut(x, y)
			if both {
				p.w.Cut(y, x)
			}
		}
	}
	return nil
}
