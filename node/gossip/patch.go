package gossip

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func encodePatch(p *linkstate.Patch) *linkstatev1.Patch {
	out := &linkstatev1.Patch{
		Server: p.Server[:], Base: p.Base, Hash: p.Hash[:],
		Incarnation: p.Incarnation, Sequence: p.Sequence,
		Status: linkstatev1.Status(p.Status), Drain: linkstatev1.Drain(p.Drain), SinceUnixMs: p.Since,
	}
	if !p.Accuser.IsZero() {
		out.Accuser = p.Accuser[:]
	}
	for i := range p.Connectors {
		s := &p.Connectors[i].State
		c := &linkstatev1.PatchedConnector{
			Index: uint32(p.Connectors[i].Index),
			Down:  s.Down, SinceUnixMs: s.Since, Reason: s.Reason, SuppressedUntilUnixMs: s.SuppressedUntil,
		}
		c.ProtoReflect().SetUnknown(protoreflect.RawFields(s.Unknown))
		out.Connectors = append(out.Connectors, c)
	}
	return out
}

func decodePatches(in *linkstatev1.Records) ([]*linkstate.Patch, error) {
	var out []*linkstate.Patch
	for _, p := range in.GetPatches() {
		patch, err := decodePatch(p)
		if err != nil {
			return nil, err
		}
		out = append(out, patch)
	}
	return out, nil
}

func decodePatch(p *linkstatev1.Patch) (*linkstate.Patch, error) {
	out := &linkstate.Patch{
		Base: p.GetBase(), Incarnation: p.GetIncarnation(), Sequence: p.GetSequence(), Since: p.GetSinceUnixMs(),
	}
	var err error
	if out.Server, err = decodeGUID("server", p.GetServer()); err != nil {
		return nil, err
	}
	if out.Hash, err = decodeHash(p.GetHash()); err != nil {
		return nil, err
	}
	if out.Status, out.Drain, out.Accuser, err = decodeStanding(p); err != nil {
		return nil, err
	}
	for _, c := range p.GetConnectors() {
		if err := bounded("reason", len(c.GetReason())); err != nil {
			return nil, err
		}
		out.Connectors = append(out.Connectors, linkstate.PatchedConnector{
			Index: int(c.GetIndex()),
			State: linkstate.ConnectorState{
				Down: c.GetDown(), Since: c.GetSinceUnixMs(), Reason: c.GetReason(),
				SuppressedUntil: c.GetSuppressedUntilUnixMs(), Unknown: c.ProtoReflect().GetUnknown(),
			},
		})
	}
	return out, nil
}
