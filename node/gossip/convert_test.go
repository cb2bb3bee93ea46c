package gossip

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func guids() *rapid.Generator[linkstate.GUID] {
	return rapid.Custom(func(t *rapid.T) linkstate.GUID {
		return linkstate.GUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "guid"))
	})
}

// unknown draws fields of a version that does not exist yet.
func unknown() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		b := protowire.AppendTag(nil, 99, protowire.VarintType)
		return protowire.AppendVarint(b, rapid.Uint64().Draw(t, "value"))
	})
}

func records() *rapid.Generator[*linkstate.Record] {
	return rapid.Custom(func(t *rapid.T) *linkstate.Record {
		r := &linkstate.Record{
			Server:      guids().Draw(t, "server"),
			Incarnation: rapid.Uint64().Draw(t, "incarnation"),
			Sequence:    rapid.Uint64().Draw(t, "sequence"),
			Status:      linkstate.Status(rapid.Byte().Draw(t, "status")),
			Accuser:     guids().Draw(t, "accuser"),
			Drain:       linkstate.Drain(rapid.Byte().Draw(t, "drain")),
			Version:     rapid.String().Draw(t, "version"),
			Since:       rapid.Int64().Draw(t, "since"),
			Unknown:     unknown().Draw(t, "unknown"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "connectors") {
			r.Connectors = append(r.Connectors, linkstate.ConnectorState{
				Connector: guids().Draw(t, "connector"), Down: rapid.Bool().Draw(t, "down"),
				Since: rapid.Int64().Draw(t, "since"), Reason: rapid.String().Draw(t, "reason"),
				SuppressedUntil: rapid.SampledFrom([]int64{0, 1, 1 << 40}).Draw(t, "suppressed"),
				Unknown:         unknown().Draw(t, "unknown"),
			})
		}
		return r
	})
}

func anyFrame() *rapid.Generator[linkstate.Frame] {
	return rapid.Custom(func(t *rapid.T) linkstate.Frame {
		hash := linkstate.Hash(guids().Draw(t, "hash"))
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return &linkstate.Records{Records: rapid.SliceOfN(records(), 1, 4).Draw(t, "records")}
		case 1:
			return &linkstate.Want{Servers: rapid.SliceOfN(guids(), 1, 4).Draw(t, "servers")}
		case 2:
			d := &linkstate.Digest{Hash: hash}
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				d.Entries = append(d.Entries, linkstate.DigestEntry{
					Server: guids().Draw(t, "server"), Incarnation: rapid.Uint64().Draw(t, "incarnation"),
					Sequence: rapid.Uint64().Draw(t, "sequence"), Status: linkstate.Status(rapid.Byte().Draw(t, "status")),
					Hash: rapid.Uint64().Draw(t, "short"),
				})
			}
			return d
		}
		return &linkstate.Keepalive{Hash: hash, Revision: rapid.Int64().Draw(t, "revision"), Queued: rapid.Int64().Draw(t, "queued")}
	})
}

// A frame must come out as it went in, over the real wire format: a field lost
// on the way would make digests differ for ever.
func TestFramesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyFrame().Draw(t, "frame")
		wire, err := proto.Marshal(encodeFrame(in))
		if err != nil {
			t.Fatal(err)
		}
		var p linkstatev1.Frame
		if err := proto.Unmarshal(wire, &p); err != nil {
			t.Fatal(err)
		}
		out, err := decodeFrame(&p)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(out, in) {
			t.Fatalf("%+v came out as %+v", in, out)
		}
	})
}

func TestBadFrames(t *testing.T) {
	guid := make([]byte, 16)
	record := func(change func(*linkstatev1.Record)) *linkstatev1.Frame {
		r := &linkstatev1.Record{Server: guid, Status: linkstatev1.Status_STATUS_ALIVE}
		change(r)
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Records{Records: &linkstatev1.Records{Records: []*linkstatev1.Record{r}}}}
	}
	for name, f := range map[string]*linkstatev1.Frame{
		"short server":     record(func(r *linkstatev1.Record) { r.Server = guid[1:] }),
		"short accuser":    record(func(r *linkstatev1.Record) { r.Accuser = guid[1:] }),
		"status too big":   record(func(r *linkstatev1.Record) { r.Status = 256 }),
		"negative drain":   record(func(r *linkstatev1.Record) { r.Drain = -1 }),
		"no connector":     record(func(r *linkstatev1.Record) { r.Connectors = []*linkstatev1.ConnectorState{{}} }),
		"short hash":       {Kind: &linkstatev1.Frame_Keepalive{Keepalive: &linkstatev1.Keepalive{}}},
		"no digest hash":   {Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{}}},
		"short want":       {Kind: &linkstatev1.Frame_Want{Want: &linkstatev1.Want{Servers: [][]byte{{1}}}}},
		"no digest server": {Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{Hash: guid, Entries: []*linkstatev1.DigestEntry{{}}}}},
	} {
		if got, err := decodeFrame(f); err == nil {
			t.Errorf("%s: decoded as %+v", name, got)
		}
	}
	if f, err := decodeFrame(&linkstatev1.Frame{}); f != nil || err != nil {
		t.Errorf("a kind of a newer version: %v, %v; must be passed over", f, err)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	seed, err := proto.Marshal(encodeFrame(&linkstate.Records{Records: []*linkstate.Record{{
		Server: linkstate.GUID{1}, Incarnation: 1, Status: linkstate.Alive,
		Connectors: []linkstate.ConnectorState{{Connector: linkstate.GUID{2}, Down: true, Reason: "refused"}},
	}}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p linkstatev1.Frame
		if proto.Unmarshal(b, &p) != nil {
			return
		}
		in, err := decodeFrame(&p)
		if err != nil || in == nil {
			return
		}
		again, err := decodeFrame(encodeFrame(in))
		if err != nil || !reflect.DeepEqual(in, again) {
			t.Fatalf("%+v came back as %+v, %v", in, again, err)
		}
	})
}

// One change of one link, on the wire of one adjacency.
func TestChangeIsSmall(t *testing.T) {
	r := &linkstate.Record{
		Server: linkstate.GUID{1}, Incarnation: 1_800_000_000, Sequence: 1000, Status: linkstate.Alive,
		Version: "1.0.0", Since: 1_800_000_000_000,
	}
	for i := range 4 {
		r.Connectors = append(r.Connectors, linkstate.ConnectorState{Connector: linkstate.GUID{byte(i)}, Since: 1_800_000_000_000})
	}
	r.Connectors[0].Down, r.Connectors[0].Reason = true, "dial tcp 192.0.2.1:25: connect: connection refused"
	if n := proto.Size(encodeFrame(&linkstate.Records{Records: []*linkstate.Record{r}})); n > 300 {
		t.Errorf("a change costs %d bytes, want at most 300", n)
	}
}
