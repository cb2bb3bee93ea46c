package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// Config of a world.
type Config struct {
	Seed      uint64
	Groups    int // at least 2
	Servers   int // in each group, at most; every group has at least one
	Extra     int // connectors beside the ring that joins all groups
	Delay     time.Duration
	Loss      float64 // of frames, 0..1
	Duplicate float64
	Timings   linkstate.Timings
	Detection linkstate.Detection
}

// World is the whole simulation.
type World struct {
	conf   Config
	random *rand.Rand
	now    time.Time
	events queue
	serial int

	nodes    []*node // in the order of the directory, then of coming into being
	byServer map[linkstate.GUID]*node
	// directory is the newest truth; nodes learn it one by one.
	directory linkstate.Members
	cut       map[[2]linkstate.GUID]bool   // frames from [0] to [1] vanish
	broken    map[linkstate.GUID]bool      // connectors that fail, though servers may reach each other
	waiting   map[linkstate.GUID]time.Time // connectors that are closed, since then
	unlinked  []linkstate.ConnectorInfo    // connectors that the directory has lost

	// OnSend, if set, sees each frame as it leaves.
	OnSend func(from, to linkstate.GUID, f linkstate.Frame)

	lossy bool
	// scripted: no mail but what the script sends, clocks that agree, a trace that
	// tells everything.
	scripted bool
	silent   bool // no trace of what nodes learn
	trace    []string
	err      error // the first rule that was broken
}

// New builds the organisation and starts every server at its own moment.
func New(c Config) *World {
	w := empty(c)
	w.lossy = true
	w.directory = w.organization()
	for _, n := range w.addNodes() {
		w.after(w.upTo(2*time.Second), func() { w.start(n) })
	}
	return w
}

func (w *World) addNodes() []*node {
	for _, m := range w.directory.Servers {
		w.addNode(m.Server)
	}
	return w.nodes
}

// epoch is when every world begins.
var epoch = time.Unix(1_000_000_000, 0)

func empty(c Config) *World {
	return &World{
		conf:   c,
		random: rand.New(rand.NewPCG(c.Seed, 4711)),
		now:    epoch,
		cut:    make(map[[2]linkstate.GUID]bool),
		broken: make(map[linkstate.GUID]bool),

		waiting: make(map[linkstate.GUID]time.Time),

		byServer: make(map[linkstate.GUID]*node),
	}
}

// name makes a GUID that reads well in a trace and sorts at random, so that
// who dials whom has nothing to do with groups.
func (w *World) name(kind byte, number int) linkstate.GUID {
	var g linkstate.GUID
	binary.BigEndian.PutUint32(g[:], w.random.Uint32())
	g[4], g[5] = kind, byte(number)
	return g
}

func (w *World) organization() linkstate.Members {
	var m linkstate.Members
	groups := make([][]linkstate.GUID, w.conf.Groups)
	names := make([]linkstate.GUID, w.conf.Groups)
	serial := 0
	for i := range groups {
		names[i] = w.name('g', i)
		for range 1 + w.random.IntN(w.conf.Servers) {
			s := w.name('s', serial)
			serial++
			groups[i] = append(groups[i], s)
			m.Servers = append(m.Servers, linkstate.Member{Server: s, Group: names[i]})
		}
	}
	connect := func(a, b int) {
		c := linkstate.ConnectorInfo{
			GUID: w.name('c', len(m.Connectors)), Group: names[a],
			Local: w.some(groups[a]), Detection: w.conf.Detection,
		}
		if b >= 0 {
			c.Remote = w.some(groups[b])
		}
		m.Connectors = append(m.Connectors, c)
	}
	for i := range groups {
		connect(i, (i+1)%len(groups))
		connect((i+1)%len(groups), i)
	}
	for range w.conf.Extra {
		a, b := w.random.IntN(len(groups)), w.random.IntN(len(groups)+1)-1
		if a != b {
			connect(a, b) // b of -1 leads outside
		}
	}
	return m
}

// some picks one server or more.
func (w *World) some(of []linkstate.GUID) []linkstate.GUID {
	mixed := slices.Clone(of)
	w.random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed[:1+w.random.IntN(len(mixed))]
}

func (w *World) upTo(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }

func (w *World) delay() time.Duration { return w.conf.Delay/2 + w.upTo(w.conf.Delay) }

// Run lets time pass and returns the first broken rule, if any.
func (w *World) Run(d time.Duration) error {
	end := w.now.Add(d)
	for until := end.Sub(epoch); w.err == nil && len(w.events) > 0 && w.events[0].at <= until; {
		e := w.events.pop()
		w.now = epoch.Add(e.at)
		e.do()
	}
	w.now = end
	return w.failure(w.err)
}

// traceLength is how many lines before a failure are worth reading.
const traceLength = 80

func (w *World) note(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs ", w.now.Sub(epoch).Seconds()) + fmt.Sprintf(format, args...)
	if len(w.trace) >= 2*traceLength && !w.scripted {
		w.trace = slices.Clone(w.trace[len(w.trace)-traceLength:])
	}
	w.trace = append(w.trace, line)
}

// detail is a note that only the reader of a script wants.
func (w *World) detail(format string, args ...any) {
	if w.scripted {
		w.note(format, args...)
	}
}

// failure adds to an error what is needed to run it again and to read it.
func (w *World) failure(err error) error {
	if err == nil {
		return nil
	}
	text := ""
	for _, line := range w.trace[max(0, len(w.trace)-traceLength):] {
		text += "\n\t" + line
	}
	return fmt.Errorf("seed %d: %w; what happened before:%s", w.conf.Seed, err, text)
}

// label is the short name of a GUID made by World.name or by named.
func label(g linkstate.GUID) string {
	if g[15] == isNamed {
		return strings.TrimRight(string(g[:15]), "\x00")
	}
	return fmt.Sprintf("%c%d", g[4], g[5])
}

// isNamed in the last byte marks a GUID that is a name.
const isNamed = 0xff

// named makes a GUID that is a name of at most 15 letters.
func named(name string) linkstate.GUID {
	var g linkstate.GUID
	copy(g[:15], name)
	g[15] = isNamed
	return g
}
