package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // the goldens show times of day
	goleak.VerifyTestMain(m)
}

// fakeNode answers like a node of a small organisation. What it is asked about
// decides how: "nowhere" is not found, "busy" was changed by somebody else,
// "wrong" breaks a rule, "away" needs etcd, "mute" never answers.
type fakeNode struct {
	directoryv1.UnimplementedDirectoryServiceServer
	linkstatev1.UnimplementedLinkStateServiceServer
	nodev1.UnimplementedNodeServiceServer
	queuev1.UnimplementedQueueServiceServer
	topologyv1.UnimplementedTopologyServiceServer
	trackingv1.UnimplementedTrackingServiceServer

	name    string
	missing map[string]string // nodes that do not answer

	mu      sync.Mutex
	watches int
}

// The services' methods share names, so each service is a type of its own.
type (
	fakeDirectory struct{ *fakeNode }
	fakeLinkState struct{ *fakeNode }
	fakeNodes     struct{ *fakeNode }
	fakeQueue     struct{ *fakeNode }
	fakeTopology  struct{ *fakeNode }
	fakeTracking  struct{ *fakeNode }
)

// serve runs the fake on a unix socket and returns its path.
func (f *fakeNode) serve(t *testing.T) string {
	t.Helper()
	// Not t.TempDir: a socket's path has room for 107 octets only.
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "node.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	directoryv1.RegisterDirectoryServiceServer(s, fakeDirectory{f})
	linkstatev1.RegisterLinkStateServiceServer(s, fakeLinkState{f})
	nodev1.RegisterNodeServiceServer(s, fakeNodes{f})
	queuev1.RegisterQueueServiceServer(s, fakeQueue{f})
	topologyv1.RegisterTopologyServiceServer(s, fakeTopology{f})
	trackingv1.RegisterTrackingServiceServer(s, fakeTracking{f})
	healthv1.RegisterHealthServer(s, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return path
}

// mood is how the fake takes to a name.
func mood(ctx context.Context, name string) error {
	switch name {
	case "nowhere":
		return status.Error(codes.NotFound, "nothing is called nowhere")
	case "busy":
		return status.Error(codes.Aborted, "Server/busy: changed by somebody else meanwhile; read it again and repeat the change")
	case "wrong":
		return status.Error(codes.InvalidArgument, "Server/wrong: routingGroup: must name a RoutingGroup")
	case "away":
		return status.Error(codes.Unavailable, "the directory is unavailable")
	case "secret":
		return status.Error(codes.PermissionDenied, "it needs a certificate with the role admin")
	case "mute":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func server(name string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "Server", Name: name, Guid: "00000000-0000-0000-0000-000000000001", Revision: 5},
		Spec:     &directoryv1.Object_Server{Server: &directoryv1.Server{RoutingGroup: "paris", SmtpAddress: "127.0.0.1:2501"}},
	}
}

func (f fakeDirectory) Apply(ctx context.Context, r *directoryv1.ApplyRequest) (*directoryv1.ApplyResponse, error) {
	resp := &directoryv1.ApplyResponse{Revision: 6}
	for _, o := range r.GetObjects() {
		name := o.GetMetadata().GetName()
		if err := mood(ctx, name); err != nil {
			return nil, err
		}
		k := &directoryv1.Change{Action: directoryv1.Action_ACTION_CREATED, After: o}
		switch name {
		case "same":
			k.Action, k.Before = directoryv1.Action_ACTION_UNCHANGED, o
		case "paris-1":
			k.Action, k.Before = directoryv1.Action_ACTION_CHANGED, server("paris-1")
			resp.Warnings = append(resp.Warnings, "Server/paris-1: fqdn: is not set")
		}
		resp.Changes = append(resp.Changes, k)
	}
	return resp, nil
}

func (f fakeDirectory) Get(ctx context.Context, r *directoryv1.GetRequest) (*directoryv1.GetResponse, error) {
	if r.GetKind() == "Account" {
		return &directoryv1.GetResponse{FromCatalog: true, CatalogAgeMs: 90_000}, nil
	}
	if err := mood(ctx, r.GetName()); err != nil {
		return nil, err
	}
	if r.GetKind() == "VirtualServer" {
		return &directoryv1.GetResponse{Objects: []*directoryv1.Object{virtualServer(r.GetName())}}, nil
	}
	return &directoryv1.GetResponse{Objects: []*directoryv1.Object{server("paris-1"), {
		Metadata: &directoryv1.Metadata{Kind: "Recipient", Name: "alice", Revision: 4},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{Addresses: []string{"alice@example.test"},
			Type: &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "paris-1"}}}},
	}}}, nil
}

func virtualServer(name string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "VirtualServer", Name: name, Guid: "00000000-0000-0000-0000-000000000002", Revision: 7},
		Spec:     &directoryv1.Object_VirtualServer{VirtualServer: &directoryv1.VirtualServer{Server: "paris-1", Bindings: []string{":25"}}},
	}
}

func (f fakeNodes) Objects(_ context.Context, r *nodev1.ObjectsRequest) (*nodev1.ObjectsResponse, error) {
	all := []*nodev1.ObjectStatus{
		{Node: f.name, Kind: "VirtualServer", Name: "paris-1-smtp", State: "running", Addresses: []string{"127.0.0.1:2501"}, Connections: 3},
		{Node: f.name, Kind: "VirtualServer", Name: "submission", State: "degraded", Reason: "cannot listen on :587: address already in use; free the port or change bindings"},
	}
	resp := &nodev1.ObjectsResponse{Missing: f.missing}
	for _, o := range all {
		if r.GetName() == "" || r.GetName() == o.Name {
			resp.Objects = append(resp.Objects, o)
		}
	}
	return resp, nil
}

func (f fakeDirectory) Delete(ctx context.Context, r *directoryv1.DeleteRequest) (*directoryv1.DeleteResponse, error) {
	if err := mood(ctx, r.GetName()); err != nil {
		return nil, err
	}
	return &directoryv1.DeleteResponse{Change: &directoryv1.Change{Action: directoryv1.Action_ACTION_DELETED, Before: server(r.GetName())}}, nil
}

func (f fakeTopology) Show(context.Context, *topologyv1.ShowRequest) (*topologyv1.ShowResponse, error) {
	return &topologyv1.ShowResponse{
		Node: f.name, TableVersion: 3, DirectoryRevision: 5, CatalogAgeMs: 900,
		Groups: []*topologyv1.Group{
			{Name: "paris", Servers: []*topologyv1.Server{{Name: "paris-1", State: "up"}, {Name: "paris-2", State: "down"}}},
			{Name: "oslo", Servers: []*topologyv1.Server{{Name: "oslo-1", State: "up"}}},
		},
		Connectors: []*topologyv1.Connector{
			{Name: "paris-oslo", Kind: "routing group", SourceGroup: "paris", TargetGroup: "oslo", Cost: 30, Up: true,
				Bridgeheads:       []*topologyv1.Bridgehead{{Server: "paris-1", VirtualServer: "paris-1-wan", Up: true}, {Server: "paris-2", Reason: "server paris-2 down"}},
				RemoteBridgeheads: []string{"oslo-1"}},
			{Name: "internet", Kind: "SMTP", SourceGroup: "paris", Reason: "connection refused", AddressSpaces: []string{"SMTP:*;1"},
				Bridgeheads: []*topologyv1.Bridgehead{{Server: "paris-1", Reason: "connection refused"}}, SmartHosts: []string{"[192.0.2.1]"}},
		},
	}, nil
}

func (f fakeTopology) Resolve(ctx context.Context, r *topologyv1.ResolveRequest) (*topologyv1.ResolveResponse, error) {
	m := &topologyv1.ResolveResponse{Node: f.name, Domain: r.GetDomain(), VirtualServer: r.GetVirtualServer()}
	switch r.GetDomain() {
	case "example.net":
		m.Hosts = []*topologyv1.ResolvedHost{
			{Preference: 10, Name: "mx1.example.net", Addresses: []string{"2001:db8::1", "192.0.2.1"}},
			{Preference: 20, Name: "paris-1.example.test", LeftOut: "is this server"},
		}
		m.Questions = []*topologyv1.DNSQuestion{
			{Name: "example.net", Type: "MX", Records: 2, Exists: true, Cached: true, Server: "192.0.2.53:53", AgeMs: 61_000, LeftMs: 239_000},
			{Name: "mx1.example.net", Type: "A", Records: 1, Exists: true, Server: "192.0.2.53:53", LeftMs: 300_000},
		}
	case "bare.example":
		m.Hosts = []*topologyv1.ResolvedHost{{Preference: -1, Name: "bare.example", Addresses: []string{"192.0.2.3"}}}
	case "gone.example":
		m.Error, m.Status = "gone.example: the domain does not exist", "5.1.2"
		m.Questions = []*topologyv1.DNSQuestion{{Name: "gone.example", Type: "MX", Server: "192.0.2.53:53", LeftMs: 60_000}}
	case "sick.example":
		m.Error, m.Status = "sick.example: DNS server 192.0.2.53:53 answers SERVFAIL", "4.4.3"
		m.Questions = []*topologyv1.DNSQuestion{{Name: "sick.example", Type: "MX", Error: "DNS server 192.0.2.53:53 answers SERVFAIL"}}
	}
	return m, mood(ctx, r.GetFrom())
}

func (f fakeTopology) Explain(ctx context.Context, r *topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error) {
	if err := mood(ctx, r.GetFrom()); err != nil {
		return nil, err
	}
	var from, until int64
	if r.GetAt() != nil {
		from, until = 1_800_000_000_000, int64(r.GetAtVersion())*1_800_000_007_000/7
	}
	return &topologyv1.ExplainResponse{
		Node: f.name, Address: r.GetAddress(), TableVersion: 3, CatalogAgeMs: 900, FromUnixMs: from, UntilUnixMs: until, Category: []string{"olav@example.test is mailbox olav on server oslo-1"},
		Routes: []*topologyv1.Route{{
			Recipient: "olav@example.test", Result: "node", NextHop: "berlin-1", VirtualServer: "paris-1-wan", Connector: "paris-berlin", Cost: 20, Path: []string{"paris", "berlin", "oslo"},
			Reasons: []string{"lowest cost"},
			Candidates: []*topologyv1.Candidate{
				{Connector: "paris-berlin", Cost: 20, Path: []string{"paris", "berlin", "oslo"}, Chosen: true, Reason: "lowest cost"},
				{Connector: "paris-oslo", Cost: 30, Path: []string{"paris", "oslo"}, Reason: "costs 30"},
				{Connector: "paris-rome", Cost: -1, Reason: "down"},
			},
			Bridgeheads: []*topologyv1.RankedBridgehead{{Server: "berlin-1", Up: true, Weight: 255, Chosen: true, Reason: "highest weight"}, {Server: "berlin-2", Weight: 254, Reason: "down"}},
		}},
	}, nil
}

func (f fakeTopology) History(context.Context, *topologyv1.HistoryRequest) (*topologyv1.HistoryResponse, error) {
	return &topologyv1.HistoryResponse{Node: f.name, Changes: []*topologyv1.TableChange{{
		TableVersion: 3, TimeUnixMs: 1_800_000_000_123, DirectoryRevision: 5, Triggers: []string{"oslo-1 is down", "paris-oslo is down"}, BuildUs: 120, Moved: 2, Destinations: 7,
	}}}, nil
}

func (f fakeTracking) Follow(ctx context.Context, r *trackingv1.FollowRequest) (*trackingv1.FollowResponse, error) {
	return &trackingv1.FollowResponse{Events: events(), Missing: f.missing}, mood(ctx, r.GetMessage())
}

func (f fakeTracking) Find(context.Context, *trackingv1.FindRequest) (*trackingv1.FindResponse, error) {
	return &trackingv1.FindResponse{Events: events(), Missing: f.missing}, nil
}

func events() []*trackingv1.Event {
	const start = 1_800_000_000_000_000
	return []*trackingv1.Event{
		{TimeUnixUs: start, Node: "paris-1", Kind: trackingv1.EventKind_EVENT_KIND_RECEIVE, QueueId: "06H0", OriginId: "06H0", MessageId: "hello@example.test",
			Sender: "alice@example.test", Recipients: []string{"olav@example.test"}, Peer: "client [127.0.0.1]"},
		{TimeUnixUs: start + 1500, Node: "paris-1", Kind: trackingv1.EventKind_EVENT_KIND_SEND, QueueId: "06H0", OriginId: "06H0", MessageId: "hello@example.test",
			Sender: "alice@example.test", Recipients: []string{"olav@example.test"}, Peer: "berlin-1", Connector: "paris-berlin", Status: "2.1.5", Detail: "ok", TableVersion: 3},
		{TimeUnixUs: start + 2_500_000, Node: "oslo-1", Kind: trackingv1.EventKind_EVENT_KIND_DELIVER, QueueId: "07H0", OriginId: "06H0", MessageId: "hello@example.test",
			Sender: "alice@example.test", Recipients: []string{"olav@example.test"}, Peer: "mailbox"},
	}
}

func (f fakeLinkState) List(context.Context, *linkstatev1.ListRequest) (*linkstatev1.ListResponse, error) {
	resp := &linkstatev1.ListResponse{Node: f.name, Digest: "0123456789abcdef0123456789abcdef", Entries: []*linkstatev1.TableEntry{entry()}, Nodes: []*linkstatev1.NodeDigest{
		{Node: "paris-1", Digest: "0123456789abcdef0123456789abcdef", DirectoryRevision: 5, CatalogAgeMs: 900},
		{Node: "paris-2", Digest: "ffffffffffffffffffffffffffffffff", DirectoryRevision: 4, CatalogAgeMs: 90_000},
	}}
	since := time.Now().Add(-10*time.Minute - 200*time.Millisecond).UnixMilli()
	resp.Neighbours = []*linkstatev1.Neighbour{
		{Server: "paris-2", Connected: true, SinceUnixMs: since, LastError: "of long ago", Carrier: "grpc"},
		{Server: "oslo-1", Connected: true, SinceUnixMs: since, Carrier: "smtp", DivergedSinceUnixMs: since},
		{Server: "rome-1", SinceUnixMs: since, LastError: "connection refused"},
	}
	for n, reason := range f.missing {
		resp.Nodes = append(resp.Nodes, &linkstatev1.NodeDigest{Node: n, Error: reason})
	}
	return resp, nil
}

func entry() *linkstatev1.TableEntry {
	now := time.Now()
	return &linkstatev1.TableEntry{
		Server: "paris-1", Group: "paris", AgeMs: 7000,
		Record:     &linkstatev1.Record{Status: linkstatev1.Status_STATUS_DOWN, Incarnation: 1_700_000_000, Sequence: 4, Version: "v1", SinceUnixMs: now.Add(-10*time.Minute - 200*time.Millisecond).UnixMilli()},
		Connectors: []*linkstatev1.ConnectorEntry{{Connector: "paris-oslo", Reason: "connection refused", SinceUnixMs: now.Add(-5*time.Minute - 200*time.Millisecond).UnixMilli()}},
	}
}

func (f fakeLinkState) Get(ctx context.Context, r *linkstatev1.GetRequest) (*linkstatev1.GetResponse, error) {
	return &linkstatev1.GetResponse{Node: f.name, Entry: entry(), Accuser: "paris-2"}, mood(ctx, r.GetServer())
}

func (f fakeLinkState) Diff(ctx context.Context, r *linkstatev1.DiffRequest) (*linkstatev1.DiffResponse, error) {
	resp := &linkstatev1.DiffResponse{NodeA: r.GetNodeA(), NodeB: r.GetNodeB(), DigestA: "0123456789abcdef", DigestB: "0123456789abcdef"}
	if r.GetNodeB() == "other" {
		resp.DigestB = "ffffffffffffffff"
		resp.Differences = []*linkstatev1.Difference{{Server: "paris-1", Connector: "paris-oslo", Field: "state", ValueA: "up", ValueB: "down"}}
	}
	return resp, mood(ctx, r.GetNodeB())
}

func (f fakeLinkState) Validate(context.Context, *linkstatev1.ValidateRequest) (*linkstatev1.ValidateResponse, error) {
	resp := &linkstatev1.ValidateResponse{Node: f.name, Checks: []*linkstatev1.Check{{Name: "all nodes have the same table", Result: linkstatev1.CheckResult_CHECK_RESULT_PASS}}}
	for n, reason := range f.missing {
		resp.Checks = append(resp.Checks, &linkstatev1.Check{Name: "all nodes answer", Result: linkstatev1.CheckResult_CHECK_RESULT_FAIL, Details: []string{n + ": " + reason}})
	}
	return resp, nil
}

func (f fakeNodes) Nodes(context.Context, *nodev1.NodesRequest) (*nodev1.NodesResponse, error) {
	return &nodev1.NodesResponse{Missing: f.missing, Nodes: []*nodev1.StatusResponse{
		{Name: f.name, Group: "paris", Version: "v1", StartedUnixMs: time.Now().Add(-2*time.Hour - 10*time.Second).UnixMilli(), DirectoryRevision: 5, CatalogAgeMs: 900,
			DirectoryConnected: true, BackPressure: "normal", Queued: 3, Pid: 42, SmtpAddress: "127.0.0.1:2501"},
		{Name: "oslo-1", Group: "oslo", Version: "v1", StartedUnixMs: time.Now().Add(-2*time.Hour - 10*time.Second).UnixMilli(), DirectoryRevision: 4, CatalogAgeMs: 90_000,
			BackPressure: "high", Pressure: []*nodev1.Pressure{{Resource: "disk", Level: "normal"}, {Resource: "memory", Level: "high", Value: 91, Medium: 75, High: 85},
				{Resource: "messages", Level: "medium"}}, LedgerImbalance: "3 messages must be there and 2 are", Pid: 43, SmtpAddress: "127.0.0.1:2505"},
	}}, nil
}

// Ledger balances on the asked node alone; with all nodes asked there is one that
// lost a message.
func (f fakeNodes) Status(context.Context, *nodev1.StatusRequest) (*nodev1.StatusResponse, error) {
	return &nodev1.StatusResponse{Name: f.name}, nil
}

func (f fakeNodes) Ledger(_ context.Context, r *nodev1.LedgerRequest) (*nodev1.LedgerResponse, error) {
	since := time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC).UnixMilli()
	line := func(name string, in bool, messages, recipients int64) *nodev1.LedgerLine {
		return &nodev1.LedgerLine{Name: name, In: in, Messages: messages, Recipients: recipients}
	}
	ledger := func(name string, held int64, why string) *nodev1.NodeLedger {
		return &nodev1.NodeLedger{Node: name, SinceUnixMs: since, Imbalance: why,
			Lines:  []*nodev1.LedgerLine{line("accepted", true, 40, 60), line("generated", true, 2, 2), line("delivered", false, 10, 12), line("relayed", false, 29, 47)},
			Queued: line("queued", false, 3, 3), CheckedUnixMs: time.Now().Add(-10*time.Second - time.Millisecond).UnixMilli(), Held: line("held", false, held, held)}
	}
	resp := &nodev1.LedgerResponse{Nodes: []*nodev1.NodeLedger{ledger(f.name, 3, "")}, Missing: f.missing}
	if r.GetAllNodes() {
		resp.Nodes = append(resp.Nodes, ledger("oslo-1", 2, "3 messages must be in the spool and 2 are"),
			&nodev1.NodeLedger{Node: "young-1", SinceUnixMs: since, Queued: line("queued", false, 0, 0)})
	}
	return resp, nil
}

func (f fakeTopology) Drain(ctx context.Context, r *topologyv1.DrainRequest) (*topologyv1.DrainResponse, error) {
	m := &topologyv1.DrainResponse{Kind: "Server", Name: r.GetName(), Before: "none", After: r.GetMode(), Revision: 8, Nodes: []string{r.GetName()}, By: "olav",
		Effects: &topologyv1.WhatIfResponse{Missing: f.missing}}
	if r.GetKind() == "Connector" {
		m.Kind, m.Nodes = "SMTPConnector", []string{"paris-1"}
	}
	if r.GetMode() == "none" {
		m.Before = "hard"
	}
	return m, mood(ctx, r.GetName())
}

// Watch tells what holds, then one change, and is cut off. The next watch finds
// that something changed meanwhile.
func (f fakeLinkState) Watch(_ *linkstatev1.WatchRequest, s grpc.ServerStreamingServer[linkstatev1.WatchResponse]) error {
	f.mu.Lock()
	f.watches++
	n := f.watches
	f.mu.Unlock()
	say := func(snapshot bool, connector, was, now, reason string) error {
		return s.Send(&linkstatev1.WatchResponse{Node: f.name, Snapshot: snapshot, Changes: []*linkstatev1.LinkChange{{
			TimeUnixMs: 1_800_000_000_000, Server: "paris-1", Group: "paris", Connector: connector, What: "state", Was: was, Now: now, Reason: reason,
		}}})
	}
	if n == 1 {
		if err := say(true, "paris-oslo", "", "up", ""); err != nil {
			return err
		}
		if err := say(false, "paris-oslo", "up", "down", "connection refused"); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "the node stops")
	}
	if err := say(true, "paris-oslo", "", "up", ""); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}
