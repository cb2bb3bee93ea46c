package admin

import (
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/verify"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Watch tells of changes as they come. What waits for a watcher is one signal and
// the table that it was told of last: while it does not read, changes add up, and
// it misses states in between, never the last one.
func (l *linkStateService) Watch(req *linkstatev1.WatchRequest, stream grpc.ServerStreamingServer[linkstatev1.WatchResponse]) error {
	if err := l.watchable(req); err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	defer l.s.cfg.Node.SubscribeLinks(func() {
		select {
		case changed <- struct{}{}:
		default: // it will see this change too
		}
	})()
	var last *linkstatev1.ListResponse
	for {
		now := l.s.cfg.Node.LinkState()
		resp := &linkstatev1.WatchResponse{Node: now.GetNode(), Digest: now.GetDigest(), Snapshot: last == nil, Changes: watched(req, verify.Changes(last, now))}
		if resp.GetSnapshot() || len(resp.GetChanges()) > 0 {
			if err := stream.Send(resp); err != nil {
				return err
			}
		}
		last = now
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		case <-l.s.stopping:
			return status.Error(codes.Unavailable, "the node stops")
		}
	}
}

// watchable refuses names that never would be heard of.
func (l *linkStateService) watchable(req *linkstatev1.WatchRequest) error {
	m := l.s.cfg.Node.Topology()
	if name := req.GetConnector(); name != "" {
		ok := false
		for _, k := range m.GetConnectors() {
			ok = ok || k.GetName() == name
		}
		if !ok {
			return status.Errorf(codes.NotFound, "connector: no connector is called %q; `postroadctl topology show` lists them", name)
		}
	}
	if name := req.GetServer(); name != "" {
		for _, g := range m.GetGroups() {
			for _, s := range g.GetServers() {
				if s.GetName() == name {
					return nil
				}
			}
		}
		return status.Errorf(codes.NotFound, "server: no Server is called %q; `postroadctl get Server` lists them", name)
	}
	return nil
}

// watched are the changes that were asked for, with the time.
func watched(req *linkstatev1.WatchRequest, all []*linkstatev1.LinkChange) []*linkstatev1.LinkChange {
	all = slices.DeleteFunc(all, func(c *linkstatev1.LinkChange) bool {
		return req.GetServer() != "" && c.GetServer() != req.GetServer() || req.GetConnector() != "" && c.GetConnector() != req.GetConnector()
	})
	now := time.Now().UnixMilli()
	for _, c := range all {
		c.TimeUnixMs = now
	}
	return all
}
