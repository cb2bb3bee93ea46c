package admin

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world makes nodes of one organisation that serve over loopback.
type world struct {
	t   *testing.T
	dir string
	ca  *trust.Authority
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir: a socket's path has room for 107 octets only.
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ca, err := trust.OpenAuthority(filepath.Join(dir, "ca"), "example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, dir, ca}
}

func (w *world) identity(role trust.Role, name string) *trust.Identity {
	w.t.Helper()
	f := trust.Files{
		CA:   filepath.Join(w.dir, "ca", trust.AuthorityCert),
		Cert: filepath.Join(w.dir, name+".crt"), Key: filepath.Join(w.dir, name+".key"),
	}
	if err := w.ca.Issue(trust.Name{Organization: "example", Role: role, Name: name}, nil, f.Cert, f.Key, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	id, err := trust.Load(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// running is a server with a node that says what the test wants.
type running struct {
	*Server
	node      *fakeNode
	directory *fakeDirectory
	catalog   *fakeCatalog
	socket    string
	address   string // TCP
}

// start runs the API of a node until the test ends.
func (w *world) start(node *fakeNode, adjust ...func(*Config)) *running {
	w.t.Helper()
	l := listen(w.t)
	id := w.identity(trust.RoleServer, node.name)
	r := &running{
		node: node, directory: &fakeDirectory{}, catalog: &fakeCatalog{},
		socket: filepath.Join(w.dir, node.name+".sock"), address: l.Addr().String(),
	}
	cfg := Config{
		Socket: r.socket, Listener: l, TLS: id.ServerTLS(), ClientTLS: id.ClientTLS,
		MayChange: func(s tls.ConnectionState) bool {
			n, err := id.Verify(s.PeerCertificates)
			return err == nil && n.Role == trust.RoleAdmin
		},
		Node: node, Directory: r.directory, Catalog: r.catalog, Logger: zap.NewNop(),
	}
	for _, f := range adjust {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("%s: %v", node.name, err)
		}
	})
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// local is a connection over the unix socket.
func (w *world) local(r *running) *grpc.ClientConn {
	return w.dial("unix:"+r.socket, insecure.NewCredentials())
}

// remote is a connection over TCP with a certificate of the role.
func (w *world) remote(r *running, role trust.Role, name string) *grpc.ClientConn {
	return w.dial("passthrough:///"+r.address, credentials.NewTLS(w.identity(role, name).ClientTLS(r.node.name)))
}

func (w *world) dial(target string, c credentials.TransportCredentials) *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(c))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

func requireCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("error %v has the code %v, want %v", err, got, want)
	}
}
