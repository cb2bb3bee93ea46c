package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

type directoryService struct {
	directoryv1.UnimplementedDirectoryServiceServer
	s *Server
}

func (d *directoryService) Apply(ctx context.Context, req *directoryv1.ApplyRequest) (*directoryv1.ApplyResponse, error) {
	changes, revision, warnings, err := d.s.cfg.Directory.Apply(ctx, req.GetObjects(), req.GetDryRun())
	if err != nil {
		return nil, grpcError(err)
	}
	resp := &directoryv1.ApplyResponse{Revision: revision}
	for _, w := range warnings {
		resp.Warnings = append(resp.Warnings, w.Error())
	}
	for _, c := range changes {
		resp.Changes = append(resp.Changes, protoChange(c))
	}
	return resp, nil
}

// Get answers from etcd, and from the node's catalog while etcd is away: an
// administrator must be able to look when things are broken.
func (d *directoryService) Get(ctx context.Context, req *directoryv1.GetRequest) (*directoryv1.GetResponse, error) {
	if k := req.GetKind(); k != "" && !directory.IsKind(k) {
		return nil, status.Errorf(codes.InvalidArgument, "kind: there is no kind %q; the kinds are %s", k, strings.Join(directory.Kinds(), ", "))
	}
	resp, err := d.fromEtcd(ctx, req)
	if errors.Is(err, directory.ErrUnavailable) {
		resp = &directoryv1.GetResponse{FromCatalog: true}
		resp.Objects, resp.Revision, resp.CatalogAgeMs, err = d.s.cfg.Catalog.Objects(req.GetKind(), req.GetName())
		if err == nil && req.GetName() != "" && len(resp.Objects) == 0 {
			err = fmt.Errorf("%s/%s: %w", req.GetKind(), req.GetName(), directory.ErrNotFound)
		}
	}
	if err != nil {
		return nil, grpcError(err)
	}
	for _, o := range resp.GetObjects() {
		hideSecrets(o)
	}
	return resp, nil
}

func (d *directoryService) fromEtcd(ctx context.Context, req *directoryv1.GetRequest) (*directoryv1.GetResponse, error) {
	if req.GetName() != "" {
		o, err := d.s.cfg.Directory.Get(ctx, req.GetKind(), req.GetName())
		if err != nil {
			return nil, err
		}
		return &directoryv1.GetResponse{Objects: []*directoryv1.Object{o}, Revision: o.GetMetadata().GetRevision()}, nil
	}
	kinds := []string{req.GetKind()}
	if req.GetKind() == "" {
		kinds = directory.Kinds()
	}
	resp := &directoryv1.GetResponse{}
	for _, k := range kinds {
		objs, revision, err := d.s.cfg.Directory.List(ctx, k)
		if err != nil {
			return nil, err
		}
		resp.Objects = append(resp.Objects, objs...)
		resp.Revision = revision
	}
	return resp, nil
}

// hideSecrets keeps derived keys from being shown: they allow guessing offline.
func hideSecrets(o *directoryv1.Object) {
	if a := o.GetAccount(); a != nil {
		a.Keys, a.Password = nil, ""
	}
}

func (d *directoryService) Delete(ctx context.Context, req *directoryv1.DeleteRequest) (*directoryv1.DeleteResponse, error) {
	c, revision, err := d.s.cfg.Directory.Delete(ctx, req.GetKind(), req.GetName(), req.GetRevision(), req.GetDryRun())
	if err != nil {
		return nil, grpcError(err)
	}
	return &directoryv1.DeleteResponse{Change: protoChange(c), Revision: revision}, nil
}

// protoChange makes a change ready to be shown.
func protoChange(c directory.Change) *directoryv1.Change {
	for _, o := range []*directoryv1.Object{c.Before, c.After} {
		hideSecrets(o)
	}
	return &directoryv1.Change{Action: c.Action, Before: c.Before, After: c.After}
}

// grpcError carries the kind of error to the CLI's exit code.
func grpcError(err error) error {
	code := codes.Unknown
	switch {
	case errors.Is(err, directory.ErrInvalid):
		code = codes.InvalidArgument
	case errors.Is(err, directory.ErrNotFound):
		code = codes.NotFound
	case errors.Is(err, directory.ErrConflict):
		code = codes.Aborted
	case errors.Is(err, directory.ErrUnavailable):
		code = codes.Unavailable
	}
	return status.Error(code, err.Error())
}
