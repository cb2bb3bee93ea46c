package wan

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Path is how packets fare in one direction. The zero value lets all pass at once.
type Path struct {
	Cut   bool
	Delay time.Duration
	// Loss is the share of packets that are lost, 0 to 1.
	Loss float64
	// Only, if not empty, names the TCP ports that pass; a packet belongs to a
	// port by either of its ends, as for a firewall that knows connections.
	Only []uint16
}

// Network joins the hosts of one test.
type Network struct {
	t     testing.TB
	hosts map[netip.Addr]*Host
	wg    sync.WaitGroup

	mu    sync.Mutex // for writers of paths
	paths atomic.Pointer[map[way]Path]

	lines sync.Map // way between two hosts: *line
}

// way is a direction between two hosts, or between two sites.
type way struct{ from, to string }

// New makes a network without hosts; they go away with the test.
func New(t testing.TB) *Network {
	t.Helper()
	if err := Possible(); err != nil {
		t.Fatal(err)
	}
	n := &Network{t: t, hosts: make(map[netip.Addr]*Host)}
	n.paths.Store(&map[way]Path{})
	t.Cleanup(n.close)
	return n
}

// prefix holds every address of a network. Networks do not see each other, so
// they all use the same.
var prefix = netip.MustParsePrefix("10.69.0.0/16")

// Host adds a host; all of them have to be there before packets flow. Hosts of
// one site reach each other whatever happens between sites.
func (n *Network) Host(name, site string) *Host {
	n.t.Helper()
	i := len(n.hosts) + 1
	addr := netip.AddrFrom4([4]byte{10, 69, byte(i >> 8), byte(i)})
	h, err := newHost(name, site, netip.PrefixFrom(addr, prefix.Bits()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.hosts[addr] = h
	return h
}

// Start lets packets flow.
func (n *Network) Start() {
	for _, h := range n.hosts {
		n.wg.Go(func() { n.carry(h) })
	}
}

func (n *Network) close() {
	for _, h := range n.hosts {
		if err := h.close(); err != nil {
			n.t.Errorf("host %s: %v", h.Name, err)
		}
	}
	n.wg.Wait()
	n.lines.Range(func(_, l any) bool { l.(*line).stop(); return true })
}

// OneWay says how packets fare from one site or host to another; what is said of
// two hosts goes before what is said of their sites.
func (n *Network) OneWay(from, to string, p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	paths := make(map[way]Path)
	for w, old := range *n.paths.Load() {
		paths[w] = old
	}
	paths[way{from, to}] = p
	n.paths.Store(&paths)
}

// Between says it for both directions.
func (n *Network) Between(a, b string, p Path) {
	n.OneWay(a, b, p)
	n.OneWay(b, a, p)
}

// Octets counts what went from one host to another and arrived, in IP packets
// of TCP connections with the port at either end.
func (n *Network) Octets(from, to string, port uint16) int64 {
	l, ok := n.lines.Load(way{from, to})
	if !ok {
		return 0
	}
	c, ok := l.(*line).octets.Load(port)
	if !ok {
		return 0
	}
	return c.(*atomic.Int64).Load()
}

// carry reads the packets that a host sends.
func (n *Network) carry(from *Host) {
	buf := make([]byte, 1<<16)
	for {
		size, err := from.tun.Read(buf)
		if err != nil {
			return // the host goes away
		}
		p, err := parse(buf[:size])
		if err != nil {
			continue // IPv6 looking for routers, and the like
		}
		if to := n.hosts[p.to]; to != nil {
			n.pass(from, to, p)
		}
	}
}

func (n *Network) pass(from, to *Host, p packet) {
	paths := *n.paths.Load()
	path, ok := paths[way{from.Name, to.Name}]
	if !ok && from.Site != to.Site {
		path = paths[way{from.Site, to.Site}]
	}
	if path.Cut || !path.admits(p) || path.Loss > 0 && rand.Float64() < path.Loss {
		return
	}
	n.line(from, to).send(p, path.Delay)
}

func (p Path) admits(k packet) bool {
	for _, port := range p.Only {
		if k.ports[0] == port || k.ports[1] == port {
			return true
		}
	}
	return len(p.Only) == 0
}

func (n *Network) line(from, to *Host) *line {
	w := way{from.Name, to.Name}
	if l, ok := n.lines.Load(w); ok {
		return l.(*line)
	}
	// Only carry(from) makes this one.
	l := newLine(to)
	n.lines.Store(w, l)
	return l
}

// packet is an IPv4 packet.
type packet struct {
	octets []byte
	to     netip.Addr
	ports  [2]uint16 // of TCP; otherwise 0
}

// parse reads as much of RFC 791 and RFC 9293 as a firewall needs.
func parse(b []byte) (packet, error) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return packet{}, fmt.Errorf("%d octets that are no IPv4 packet", len(b))
	}
	p := packet{octets: b, to: netip.AddrFrom4([4]byte(b[16:20]))}
	const tcp = 6
	header := int(b[0]&0x0f) * 4
	if fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff; b[9] == tcp && fragment == 0 && len(b) >= header+4 {
		p.ports = [2]uint16{binary.BigEndian.Uint16(b[header:]), binary.BigEndian.Uint16(b[header+2:])}
	}
	return p, nil
}
