package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/store/directory"
)

// changes calls every method that changes something.
func changes(t *testing.T, conn *grpc.ClientConn) map[string]error {
	d := directoryv1.NewDirectoryServiceClient(conn)
	_, apply := d.Apply(t.Context(), &directoryv1.ApplyRequest{})
	_, remove := d.Delete(t.Context(), &directoryv1.DeleteRequest{Kind: "Server", Name: "oslo"})
	_, retry := queuev1.NewQueueServiceClient(conn).Retry(t.Context(), &queuev1.RetryRequest{})
	_, drain := topologyv1.NewTopologyServiceClient(conn).Drain(t.Context(), &topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard"})
	_, quarantine := queuev1.NewQueueServiceClient(conn).Quarantine(t.Context(), &queuev1.QuarantineRequest{Messages: []string{"06H0"}})
	return map[string]error{"Quarantine": quarantine, "Apply": apply, "Delete": remove, "Retry": retry, "Drain": drain}
}

func TestWhoMayChange(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	r.directory.changes = []directory.Change{{}}
	r.directory.objs = []*directoryv1.Object{server("oslo-1")}
	for _, tc := range []struct {
		who  string
		conn *grpc.ClientConn
		code codes.Code
	}{
		{"the owner of the socket", w.local(r), codes.OK},
		{"an administrator", w.remote(r, trust.RoleAdmin, "alice"), codes.OK},
		{"another node", w.remote(r, trust.RoleServer, "oslo"), codes.PermissionDenied},
	} {
		t.Run(tc.who, func(t *testing.T) {
			if _, err := nodev1.NewNodeServiceClient(tc.conn).Status(t.Context(), &nodev1.StatusRequest{}); err != nil {
				t.Errorf("may not read: %v", err)
			}
			for method, err := range changes(t, tc.conn) {
				t.Log(method)
				requireCode(t, err, tc.code)
			}
		})
	}
}

// A certificate of some other authority opens nothing, not even for reading.
func TestStrangersCertificate(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	_, err := nodev1.NewNodeServiceClient(other.remote(r, trust.RoleAdmin, "mallory")).Status(t.Context(), &nodev1.StatusRequest{})
	requireCode(t, err, codes.Unavailable)
}

// Every method is either listed as changing or known to only read: a new one
// must be thought about.
func TestEveryMethodIsClassified(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	reads := []string{"/Get", "/List", "/Show", "/Explain", "/Resolve", "/Status", "/Nodes", "/Ledger", "/Objects", "/Messages", "/Shape", "/Find", "/Follow",
		"/Validate", "/Diff", "/History", "/WhatIf", "/Traffic", "/Check", "/Watch", "/ServerReflectionInfo"}
	for service, info := range r.servers[0].GetServiceInfo() {
		for _, m := range info.Methods {
			full := "/" + service + "/" + m.Name
			read := slices.ContainsFunc(reads, func(s string) bool { return strings.HasSuffix(full, s) })
			if read == changing(full) {
				t.Errorf("%s: changing says %v", full, changing(full))
			}
		}
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	c := healthv1.NewHealthClient(w.local(r))
	check := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		resp, err := c.Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("%v, %v; want %v", resp.GetStatus(), err, want)
		}
	}
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	r.SetReady(true)
	check(healthv1.HealthCheckResponse_SERVING)
}

func TestReflectionListsTheServices(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	stream, err := reflectionv1.NewServerReflectionClient(w.local(r)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"directory.v1.Directory", "linkstate.v1.LinkState", "node.v1.Node", "queue.v1.Queue", "topology.v1.Topology", "tracking.v1.Tracking"} {
		if !slices.Contains(names, "postroad."+want+"Service") {
			t.Errorf("%v lacks %s", names, want)
		}
	}
}

func TestSocket(t *testing.T) {
	dir := newWorld(t).dir
	t.Run("is its owner's only", func(t *testing.T) {
		l := mustListenSocket(t, filepath.Join(dir, "new.sock"))
		defer l.Close()
		if st, err := os.Stat(l.Addr().String()); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
		}
	})
	t.Run("of a node that died is taken over", func(t *testing.T) {
		path := filepath.Join(dir, "stale.sock")
		dead := mustListenSocket(t, path).(*net.UnixListener)
		dead.SetUnlinkOnClose(false) // as SIGKILL leaves it
		dead.Close()
		mustListenSocket(t, path).Close()
	})
	t.Run("of a living one is left alone", func(t *testing.T) {
		path := filepath.Join(dir, "live.sock")
		live := mustListenSocket(t, path)
		defer live.Close()
		if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
			t.Errorf("error %v, want that another process answers", err)
		}
		if c, err := net.Dial("unix", path); err != nil {
			t.Errorf("the living one was harmed: %v", err)
		} else {
			c.Close()
		}
	})
	t.Run("is never made from another file", func(t *testing.T) {
		path := filepath.Join(dir, "precious.txt")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "adminSocket") {
			t.Errorf("error %v, want one that names the setting", err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
			t.Errorf("the file now holds %q, %v", b, err)
		}
	})
	t.Run("needs a folder", func(t *testing.T) {
		if _, err := listenSocket(filepath.Join(dir, "missing", "a.sock")); err == nil || !strings.Contains(err.Error(), "make the folder") {
			t.Errorf("error %v, want one with the cure", err)
		}
	})
}

func mustListenSocket(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A server that cannot be prepared leaves no listener behind.
func TestNewFails(t *testing.T) {
	w := newWorld(t)
	live := w.start(&fakeNode{name: "paris"})
	if _, err := New(Config{Socket: live.socket, Node: &fakeNode{name: "twin"}}); err == nil {
		t.Error("two servers on one socket")
	}
}

func TestMessages(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	c := queuev1.NewQueueServiceClient(w.local(r))
	for asked, want := range map[int32]int{0: 100, -1: 100, 7: 7, 5000: 1000} {
		if _, err := c.Messages(t.Context(), &queuev1.MessagesRequest{Limit: asked}); err != nil || r.node.limit != want {
			t.Errorf("limit %d became %d, %v; want %d", asked, r.node.limit, err, want)
		}
	}
	if resp, err := c.Retry(t.Context(), &queuev1.RetryRequest{}); err != nil || resp.GetLinks() != 3 {
		t.Errorf("retry: %v, %v", resp, err)
	}
	r.node.failure = errors.New("no queue is called x")
	_, err := c.Messages(t.Context(), &queuev1.MessagesRequest{Queue: "x"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Retry(t.Context(), &queuev1.RetryRequest{Queue: "x"})
	requireCode(t, err, codes.NotFound)
}
