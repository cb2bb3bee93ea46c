package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// Config of the API.
type Config struct {
	// Socket is the unix socket's path, Listener the TCP side; either may be missing.
	Socket   string
	Listener net.Listener
	// TLS is for Listener; it must demand certificates of the organisation.
	TLS *tls.Config
	// MayChange says whether the holder of a certificate may change anything.
	MayChange func(tls.ConnectionState) bool
	// ClientTLS is for asking the node of that name.
	ClientTLS func(node string) *tls.Config
	// PeerTimeout is how long one node may take to answer another's question;
	// 0: 2 s.
	PeerTimeout time.Duration

	Node      Node
	Directory Directory
	Catalog   Catalog
	Logger    *zap.Logger
}

// Server is the API of one node.
type Server struct {
	cfg     Config
	health  *health.Server
	peers   *peers
	servers []*grpc.Server
	serve   []func() error
}

// New prepares the listeners, so that an address in use is known before the
// node says that it runs.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, health: health.NewServer(), peers: newPeers(cfg)}
	s.SetReady(false)
	if cfg.Socket != "" {
		l, err := listenSocket(cfg.Socket)
		if err != nil {
			return nil, err
		}
		s.add(l, grpc.NewServer(grpc.ChainUnaryInterceptor(s.logged)))
	}
	if cfg.Listener != nil {
		s.add(cfg.Listener, grpc.NewServer(
			grpc.Creds(credentials.NewTLS(cfg.TLS)), grpc.ChainUnaryInterceptor(s.authorized, s.logged)))
	}
	return s, nil
}

func (s *Server) add(l net.Listener, g *grpc.Server) {
	directoryv1.RegisterDirectoryServiceServer(g, &directoryService{s: s})
	linkstatev1.RegisterLinkStateServiceServer(g, &linkStateService{s: s})
	nodev1.RegisterNodeServiceServer(g, &nodeService{s: s})
	queuev1.RegisterQueueServiceServer(g, &queueService{s: s})
	topologyv1.RegisterTopologyServiceServer(g, &topologyService{s: s})
	trackingv1.RegisterTrackingServiceServer(g, &trackingService{s: s})
	healthv1.RegisterHealthServer(g, s.health)
	reflection.Register(g)
	s.servers = append(s.servers, g)
	s.serve = append(s.serve, func() error { return g.Serve(l) })
}

// listenSocket takes over the socket of a node that died. A socket that still
// answers belongs to a living one and is left alone, and so is any other file.
func listenSocket(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("admin socket %s: something else is there, %s; set adminSocket to another path", path, st.Mode())
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("admin socket %s: another process answers on it; stop it or set adminSocket to another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Until here the usual umask already bars others: connecting needs write permission.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

// Run serves until ctx ends, then finishes the calls under way.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.serve))
	for _, f := range s.serve {
		go func() { failed <- f() }()
	}
	var err error
	served := 0
	select {
	case <-ctx.Done():
	case err = <-failed:
		served++
	}
	s.health.Shutdown()
	s.stop()
	for ; served < len(s.serve); served++ {
		<-failed
	}
	s.peers.close()
	return err
}

// stop waits a little for calls under way and then cuts them off.
func (s *Server) stop() {
	for _, g := range s.servers {
		cut := time.AfterFunc(time.Second, g.Stop)
		g.GracefulStop()
		cut.Stop()
	}
}

// SetReady is what grpc.health.v1 says.
func (s *Server) SetReady(ready bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// changing names the methods that need the role admin over TCP.
func changing(method string) bool {
	for _, suffix := range []string{"/Apply", "/Delete", "/Retry"} {
		if strings.HasSuffix(method, suffix) {
			return true
		}
	}
	return false
}

func (s *Server) authorized(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !changing(info.FullMethod) {
		return next(ctx, req)
	}
	if p, ok := peer.FromContext(ctx); ok {
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok && s.cfg.MayChange(t.State) {
			return next(ctx, req)
		}
	}
	return nil, status.Errorf(codes.PermissionDenied, "%s changes something: it needs a certificate with the role admin (`postroad ca issue --admin NAME`) or the node's unix socket", info.FullMethod)
}

// logged keeps a line of everything that changes something.
func (s *Server) logged(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if changing(info.FullMethod) {
		who := "unix socket"
		if p, ok := peer.FromContext(ctx); ok && p.AuthInfo != nil {
			if t, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(t.State.PeerCertificates) > 0 {
				who = t.State.PeerCertificates[0].Subject.CommonName
			}
		}
		s.cfg.Logger.Info("admin_change", zap.String("method", info.FullMethod), zap.String("who", who), zap.Error(err))
	}
	return resp, err
}
