package gossip

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func encodeFrame(f linkstate.Frame) *linkstatev1.Frame {
	switch f := f.(type) {
	case *linkstate.Records:
		wire := encodeRecords(f.Records)
		for _, p := range f.Patches {
			wire.Patches = append(wire.Patches, encodePatch(p))
		}
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Records{Records: wire}}
	case *linkstate.Want:
		w := &linkstatev1.Want{}
		for i := range f.Servers {
			w.Servers = append(w.Servers, f.Servers[i][:])
		}
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Want{Want: w}}
	case *linkstate.Digest:
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Digest{Digest: encodeDigest(f)}}
	case *linkstate.Keepalive:
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Keepalive{Keepalive: &linkstatev1.Keepalive{
			TableHash: f.Hash[:], DirectoryRevision: f.Revision, Queued: f.Queued,
		}}}
	}
	return &linkstatev1.Frame{}
}

// decodeFrame gives nil without an error for a kind of frame that a newer
// version may have added.
func decodeFrame(f *linkstatev1.Frame) (linkstate.Frame, error) {
	switch k := f.GetKind().(type) {
	case *linkstatev1.Frame_Records:
		records, err := decodeRecords(k.Records)
		if err != nil {
			return nil, err
		}
		patches, err := decodePatches(k.Records)
		return &linkstate.Records{Records: records, Patches: patches}, err
	case *linkstatev1.Frame_Want:
		w := &linkstate.Want{}
		for _, b := range k.Want.GetServers() {
			s, err := decodeGUID("wanted server", b)
			if err != nil {
				return nil, err
			}
			w.Servers = append(w.Servers, s)
		}
		return w, nil
	case *linkstatev1.Frame_Digest:
		return decodeDigest(k.Digest)
	case *linkstatev1.Frame_Keepalive:
		h, err := decodeHash(k.Keepalive.GetTableHash())
		return &linkstate.Keepalive{Hash: h, Revision: k.Keepalive.GetDirectoryRevision(), Queued: k.Keepalive.GetQueued()}, err
	}
	return nil, nil
}

func encodeDigest(d *linkstate.Digest) *linkstatev1.Digest {
	out := &linkstatev1.Digest{Hash: d.Hash[:], Entries: make([]*linkstatev1.DigestEntry, len(d.Entries))}
	for i := range d.Entries {
		e := &d.Entries[i]
		out.Entries[i] = &linkstatev1.DigestEntry{
			Server: e.Server[:], Incarnation: e.Incarnation, Sequence: e.Sequence,
			Status: linkstatev1.Status(e.Status), Hash: e.Hash,
		}
	}
	return out
}

func decodeDigest(d *linkstatev1.Digest) (*linkstate.Digest, error) {
	h, err := decodeHash(d.GetHash())
	if err != nil {
		return nil, err
	}
	out := &linkstate.Digest{Hash: h}
	for _, e := range d.GetEntries() {
		server, err := decodeGUID("server in digest", e.GetServer())
		if err != nil {
			return nil, err
		}
		status, err := small("status", int32(e.GetStatus()))
		if err != nil {
			return nil, err
		}
		out.Entries = append(out.Entries, linkstate.DigestEntry{
			Server: server, Incarnation: e.GetIncarnation(), Sequence: e.GetSequence(),
			Status: linkstate.Status(status), Hash: e.GetHash(),
		})
	}
	return out, nil
}

func encodeRecords(records []*linkstate.Record) *linkstatev1.Records {
	out := &linkstatev1.Records{Records: make([]*linkstatev1.Record, len(records))}
	for i, r := range records {
		out.Records[i] = EncodeRecord(r)
	}
	return out
}

func decodeRecords(in *linkstatev1.Records) ([]*linkstate.Record, error) {
	var out []*linkstate.Record
	for _, p := range in.GetRecords() {
		r, err := DecodeRecord(p)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// EncodeRecord gives the wire form, with the fields of newer versions that came
// with the record.
func EncodeRecord(r *linkstate.Record) *linkstatev1.Record {
	out := &linkstatev1.Record{
		Server: r.Server[:], Incarnation: r.Incarnation, Sequence: r.Sequence,
		Status: linkstatev1.Status(r.Status), Drain: linkstatev1.Drain(r.Drain),
		Version: r.Version, SinceUnixMs: r.Since,
		Connectors: make([]*linkstatev1.ConnectorState, len(r.Connectors)),
	}
	if !r.Accuser.IsZero() {
		out.Accuser = r.Accuser[:]
	}
	out.ProtoReflect().SetUnknown(protoreflect.RawFields(r.Unknown))
	for i := range r.Connectors {
		c := &r.Connectors[i]
		out.Connectors[i] = &linkstatev1.ConnectorState{
			Connector: c.Connector[:], Down: c.Down, SinceUnixMs: c.Since, Reason: c.Reason,
			SuppressedUntilUnixMs: c.SuppressedUntil,
		}
		out.Connectors[i].ProtoReflect().SetUnknown(protoreflect.RawFields(c.Unknown))
	}
	return out
}

// DecodeRecord is the opposite of [EncodeRecord]; it refuses what may not enter a
// table.
func DecodeRecord(p *linkstatev1.Record) (*linkstate.Record, error) {
	r := &linkstate.Record{
		Incarnation: p.GetIncarnation(), Sequence: p.GetSequence(),
		Version: p.GetVersion(), Since: p.GetSinceUnixMs(), Unknown: p.ProtoReflect().GetUnknown(),
	}
	var err error
	if r.Server, err = decodeGUID("server", p.GetServer()); err != nil {
		return nil, err
	}
	if err = bounded("version", len(r.Version)); err != nil {
		return nil, err
	}
	if r.Status, r.Drain, r.Accuser, err = decodeStanding(p); err != nil {
		return nil, err
	}
	for _, c := range p.GetConnectors() {
		connector, err := decodeGUID("connector", c.GetConnector())
		if err != nil {
			return nil, err
		}
		if err := bounded("reason", len(c.GetReason())); err != nil {
			return nil, err
		}
		r.Connectors = append(r.Connectors, linkstate.ConnectorState{
			Connector: connector, Down: c.GetDown(), Since: c.GetSinceUnixMs(), Reason: c.GetReason(),
			SuppressedUntil: c.GetSuppressedUntilUnixMs(),
			Unknown:         c.ProtoReflect().GetUnknown(),
		})
	}
	return r, nil
}

// decodeStanding reads what a whole record and a patch have in common.
func decodeStanding(p interface {
	GetStatus() linkstatev1.Status
	GetDrain() linkstatev1.Drain
	GetAccuser() []byte
}) (s linkstate.Status, d linkstate.Drain, accuser linkstate.GUID, err error) {
	status, err := small("status", int32(p.GetStatus()))
	if err != nil {
		return s, d, accuser, err
	}
	drain, err := small("drain", int32(p.GetDrain()))
	if err == nil && len(p.GetAccuser()) > 0 {
		accuser, err = decodeGUID("accuser", p.GetAccuser())
	}
	return linkstate.Status(status), linkstate.Drain(drain), accuser, err
}

// maxText is what a text of a record may have, in octets: more than any version has
// ever sent, for a table is kept in memory by everybody. A frame as a whole is
// bounded by its carrier.
const maxText = 1024

func bounded(what string, length int) error {
	if length > maxText {
		return fmt.Errorf("%s has %d octets, must have at most %d", what, length, maxText)
	}
	return nil
}

func decodeGUID(what string, b []byte) (linkstate.GUID, error) {
	if len(b) != 16 {
		return linkstate.GUID{}, fmt.Errorf("GUID of %s has %d bytes, must have 16", what, len(b))
	}
	return linkstate.GUID(b), nil
}

func decodeHash(b []byte) (linkstate.Hash, error) {
	if len(b) != 16 {
		return linkstate.Hash{}, fmt.Errorf("table hash has %d bytes, must have 16", len(b))
	}
	return linkstate.Hash(b), nil
}

// small checks that an enum value, perhaps of a newer version, can be kept.
func small(what string, v int32) (uint8, error) {
	if v < 0 || v > math.MaxUint8 {
		return 0, fmt.Errorf("%s %d is out of range 0..%d", what, v, math.MaxUint8)
	}
	return uint8(v), nil
}
