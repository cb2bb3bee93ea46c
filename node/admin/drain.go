package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/store/directory"
)

// drainTries is how often a drain is repeated when somebody else changed the
// object between reading and writing: it concerns one field only.
const drainTries = 3

// maxReason bounds the words that go into an object and into every node's log.
const maxReason = 200

// drainKinds are the kinds that can be drained, in the order in which a name
// without a kind is looked for.
var drainKinds = [...]string{
	directory.KindServer, directory.KindRoutingGroupConnector, directory.KindSMTPConnector, directory.KindForeignConnector,
}

// anyConnector in place of a kind means all kinds of connector.
const anyConnector = "Connector"

// drainable is the part that all specs which can be drained have in common.
type drainable interface {
	GetDrain() directoryv1.DrainMode
	GetDrainNote() *directoryv1.DrainNote
}

// Drain changes the object by compare and swap, and says what that moves.
func (t *topologyService) Drain(ctx context.Context, req *topologyv1.DrainRequest) (*topologyv1.DrainResponse, error) {
	mode, err := drainMode(req.GetMode())
	if err != nil {
		return nil, err
	}
	if len(req.GetReason()) > maxReason || len(req.GetBy()) > maxReason {
		return nil, status.Errorf(codes.InvalidArgument, "reason, by: at most %d octets each", maxReason)
	}
	by := caller(ctx)
	if by == "" {
		by = req.GetBy()
	}
	for try := 1; ; try++ {
		resp, err := t.drain(ctx, req, mode, by)
		if status.Code(err) != codes.Aborted || try == drainTries {
			return resp, err
		}
	}
}

func drainMode(word string) (directoryv1.DrainMode, error) {
	switch strings.ToLower(word) {
	case "hard":
		return directoryv1.DrainMode_DRAIN_MODE_HARD, nil
	case "soft":
		return directoryv1.DrainMode_DRAIN_MODE_SOFT, nil
	case "none":
		return directoryv1.DrainMode_DRAIN_MODE_UNSPECIFIED, nil
	}
	return 0, status.Errorf(codes.InvalidArgument, "mode: %q must be soft, hard or none", word)
}

func (t *topologyService) drain(ctx context.Context, req *topologyv1.DrainRequest, mode directoryv1.DrainMode, by string) (*topologyv1.DrainResponse, error) {
	o, err := t.toDrain(ctx, req.GetKind(), req.GetName())
	if err != nil {
		return nil, err
	}
	m := o.GetMetadata()
	resp := &topologyv1.DrainResponse{
		Kind: m.GetKind(), Name: m.GetName(), Before: directory.DrainWord(drainOf(o).GetDrain()), After: directory.DrainWord(mode), Revision: m.GetRevision(), By: by,
		Nodes: t.holders(m),
	}
	note := &directoryv1.DrainNote{By: by, Reason: req.GetReason(), At: time.Now().UTC().Format(time.RFC3339)}
	if mode == directoryv1.DrainMode_DRAIN_MODE_UNSPECIFIED {
		note = nil
	}
	setDrain(o, mode, note)
	// The asked node may not have the newest revision yet: what-if compares none.
	supposed := proto.CloneOf(o)
	supposed.Metadata.Revision = 0
	resp.Effects, err = t.WhatIf(ctx, &topologyv1.WhatIfRequest{Objects: []*directoryv1.Object{supposed}})
	if err != nil { // a drain in need must not fail for want of a forecast
		resp.Warnings = append(resp.Warnings, "what moves is not known: "+status.Convert(err).Message())
	}
	_, revision, warnings, err := t.s.cfg.Directory.Apply(ctx, []*directoryv1.Object{o}, req.GetDryRun())
	if err != nil {
		return nil, grpcError(err)
	}
	for _, w := range warnings {
		resp.Warnings = append(resp.Warnings, w.Error())
	}
	if !req.GetDryRun() {
		resp.Revision = revision
	}
	return resp, nil
}

// toDrain reads the object of the directory that a request means.
func (t *topologyService) toDrain(ctx context.Context, kind, name string) (*directoryv1.Object, error) {
	if name == "" {
		return nil, status.Error(codes.InvalidArgument, "name: must be that of a server or connector")
	}
	kinds := drainKinds[:]
	switch {
	case kind == anyConnector:
		kinds = kinds[1:]
	case kind != "":
		if !slices.Contains(kinds, kind) {
			return nil, status.Errorf(codes.InvalidArgument, "kind: %q cannot be drained; %s can", kind, strings.Join(kinds, ", "))
		}
		kinds = []string{kind}
	}
	var found []*directoryv1.Object
	for _, k := range kinds {
		o, err := t.s.cfg.Directory.Get(ctx, k, name)
		switch {
		case errors.Is(err, directory.ErrNotFound):
		case err != nil:
			return nil, grpcError(err)
		default:
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return nil, status.Errorf(codes.NotFound, "no %s is called %q; `postroadctl topology show` lists servers and connectors", cmp.Or(kind, "server and no connector"), name)
	case 1:
		return found[0], nil
	}
	return nil, status.Errorf(codes.InvalidArgument, "name: a %s and a %s are called %q; say which by its kind",
		found[0].GetMetadata().GetKind(), found[1].GetMetadata().GetKind(), name)
}

func drainOf(o *directoryv1.Object) drainable {
	switch o.GetMetadata().GetKind() {
	case directory.KindRoutingGroupConnector:
		return o.GetRoutingGroupConnector()
	case directory.KindSMTPConnector:
		return o.GetSmtpConnector()
	case directory.KindForeignConnector:
		return o.GetForeignConnector()
	}
	return o.GetServer()
}

func setDrain(o *directoryv1.Object, mode directoryv1.DrainMode, note *directoryv1.DrainNote) {
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_Server:
		s.Server.Drain, s.Server.DrainNote = mode, note
	case *directoryv1.Object_RoutingGroupConnector:
		s.RoutingGroupConnector.Drain, s.RoutingGroupConnector.DrainNote = mode, note
	case *directoryv1.Object_SmtpConnector:
		s.SmtpConnector.Drain, s.SmtpConnector.DrainNote = mode, note
	case *directoryv1.Object_ForeignConnector:
		s.ForeignConnector.Drain, s.ForeignConnector.DrainNote = mode, note
	}
}

// holders are the servers on which mail waits for the object.
func (t *topologyService) holders(m *directoryv1.Metadata) []string {
	if m.GetKind() == directory.KindServer {
		return []string{m.GetName()}
	}
	var all []string
	for _, k := range t.s.cfg.Node.Topology().GetConnectors() {
		if k.GetKind() != m.GetKind() || k.GetName() != m.GetName() {
			continue
		}
		for _, b := range k.GetBridgeheads() {
			if !slices.Contains(all, b.GetServer()) {
				all = append(all, b.GetServer())
			}
		}
	}
	return all
}
