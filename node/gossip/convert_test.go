package gossip

import (
	"reflect"
	"strings"
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

func patches() *rapid.Generator[*linkstate.Patch] {
	return rapid.Custom(func(t *rapid.T) *linkstate.Patch {
		r := records().Draw(t, "record")
		p := &linkstate.Patch{
			Server: r.Server, Base: rapid.Uint64().Draw(t, "base"), Hash: r.Hash(), Incarnation: r.Incarnation, Sequence: r.Sequence,
			Status: r.Status, Accuser: r.Accuser, Drain: r.Drain, Since: r.Since,
		}
		for i, c := range r.Connectors {
			c.Connector = linkstate.GUID{} // the place stands for it
			p.Connectors = append(p.Connectors, linkstate.PatchedConnector{Index: i * 1000, State: c})
		}
		return p
	})
}

func anyFrame() *rapid.Generator[linkstate.Frame] {
	return rapid.Custom(func(t *rapid.T) linkstate.Frame {
		hash := linkstate.Hash(guids().Draw(t, "hash"))
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return &linkstate.Records{
				Records: rapid.SliceOfN(records(), 1, 4).Draw(t, "records"),
				Patches: rapid.SliceOfN(patches(), 1, 4).Draw(t, "patches"),
			}
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
	patch := func(change func(*linkstatev1.Patch)) *linkstatev1.Frame {
		p := &linkstatev1.Patch{Server: guid, Hash: guid, Status: linkstatev1.Status_STATUS_ALIVE}
		change(p)
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Records{Records: &linkstatev1.Records{Patches: []*linkstatev1.Patch{p}}}}
	}
	for name, f := range map[string]*linkstatev1.Frame{
		"long version": record(func(r *linkstatev1.Record) { r.Version = strings.Repeat("x", maxText+1) }),
		"long reason": record(func(r *linkstatev1.Record) {
			r.Connectors = []*linkstatev1.ConnectorState{{Connector: guid, Reason: strings.Repeat("x", maxText+1)}}
		}),
		"patch: long reason": patch(func(p *linkstatev1.Patch) {
			p.Connectors = []*linkstatev1.PatchedConnector{{Reason: strings.Repeat("x", maxText+1)}}
		}),
		"patch: short server":   patch(func(p *linkstatev1.Patch) { p.Server = guid[1:] }),
		"patch: short hash":     patch(func(p *linkstatev1.Patch) { p.Hash = guid[1:] }),
		"patch: short accuser":  patch(func(p *linkstatev1.Patch) { p.Accuser = guid[1:] }),
		"patch: status too big": patch(func(p *linkstatev1.Patch) { p.Status = 256 }),
		"short server":          record(func(r *linkstatev1.Record) { r.Server = guid[1:] }),
		"short accuser":         record(func(r *linkstatev1.Record) { r.Accuser = guid[1:] }),
		"status too big":        record(func(r *linkstatev1.Record) { r.Status = 256 }),
		"negative drain":        record(func(r *linkstatev1.Record) { r.Drain = -1 }),
		"no connector":          record(func(r *linkstatev1.Record) { r.Connectors = []*linkstatev1.ConnectorState{{}} }),
		"short hash":            {Kind: &linkstatev1.Frame_Keepalive{Keepalive: &linkstatev1.Keepalive{}}},
		"no digest hash":        {Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{}}},
		"short want":            {Kind: &linkstatev1.Frame_Want{Want: &linkstatev1.Want{Servers: [][]byte{{1}}}}},
		"no digest server":      {Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{Hash: guid, Entries: []*linkstatev1.DigestEntry{{}}}}},
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
