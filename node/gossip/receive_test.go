package gossip

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Whatever a neighbour sends, the machine goes on, and what enters its table is valid
// and of a server that the directory has.
func FuzzReceive(f *testing.F) {
	known := &linkstate.Record{
		Server: linkstate.GUID(serverD), Incarnation: 1, Sequence: 1, Status: linkstate.Alive,
		Connectors: []linkstate.ConnectorState{{Connector: linkstate.GUID(south)}, {Connector: linkstate.GUID(east)}},
	}
	next := *known
	next.Sequence++
	next.Connectors = []linkstate.ConnectorState{known.Connectors[0], {Connector: linkstate.GUID(east), Down: true, Reason: "refused"}}
	patch, _ := linkstate.Diff(known, &next)
	for _, frame := range []linkstate.Frame{
		&linkstate.Records{Records: []*linkstate.Record{&next}, Patches: []*linkstate.Patch{patch}},
		&linkstate.Want{Servers: []linkstate.GUID{linkstate.GUID(serverA)}},
		&linkstate.Digest{Hash: linkstate.Hash{1}, Entries: []linkstate.DigestEntry{{Server: linkstate.GUID(serverE), Status: linkstate.Down}}},
		&linkstate.Keepalive{},
	} {
		b, err := proto.Marshal(encodeFrame(frame))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p linkstatev1.Frame
		if proto.Unmarshal(b, &p) != nil {
			return
		}
		frame, err := decodeFrame(&p)
		if err != nil || frame == nil {
			return
		}
		m := linkstate.New(linkstate.Config{Self: linkstate.GUID(serverA), Incarnation: 1})
		all, now := members(), time.Unix(1000, 0)
		all.Self = linkstate.GUID(serverA)
		m.Configure(all, demoTimings, now)
		from := linkstate.GUID(serverD)
		m.PeerUp(from, linkstate.Protocol, now)
		m.Receive(from, &linkstate.Records{Records: []*linkstate.Record{known}}, now)
		for range 2 {
			now = now.Add(time.Second)
			m.Receive(from, frame, now)
			m.Tick(now)
		}
		for _, r := range m.Table().All() {
			exists := false
			for _, s := range all.Servers {
				exists = exists || s.Server == r.Server
			}
			if !r.Valid() || !exists {
				t.Fatalf("in the table: %+v", r)
			}
		}
	})
}
