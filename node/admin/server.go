package admin

import (
	"cmp"
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
	// FromNode says whether the holder is a node of the organisation: it passes on
	// what its own caller may do, see caller.go. nil: none is.
	FromNode func(tls.ConnectionState) bool
	// ClientTLS is for asking the node of that name.
	ClientTLS func(node string) *tls.Config
	// PeerTimeout is how long one node may take to answer another's question;
	// 0: 2 s.
	PeerTimeout time.Duration
	// SettleWithin is how long nodes may differ before Validate says so; 0: 3 s.
	SettleWithin time.Duration

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
	acting  *peers // the same, with the patience for what takes its time
	servers []*grpc.Server
	serve   []func() error
	// stopping is closed when Run ends: a stream that only waits ends with it.
	stopping chan struct{}
}

// New prepares the listeners, so that an address in use is known before the
// node says that it runs.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, health: health.NewServer(), peers: newPeers(cfg, peerTimeout), acting: newPeers(cfg, actTimeout), stopping: make(chan struct{})}
	s.SetReady(false)
	if cfg.Socket != "" {
		l, err := listenSocket(cfg.Socket)
		if err != nil {
			return nil, err
		}
		s.add(l, grpc.NewServer(grpc.Creds(socketCredentials{}), grpc.ChainUnaryInterceptor(s.logged)))
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
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("admin socket: %w; make the folder, for the node's user, or set adminSocket to another path", err)
	}
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
	close(s.stopping)
	s.stop()
	for ; served < len(s.serve); served++ {
		<-failed
	}
	s.peers.close()
	s.acting.close()
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
	for _, suffix := range []string{"/Apply", "/Delete", "/Retry", "/Drain", "/Dequeue", "/Act", "/Outbound", "/Quarantine"} {
		if strings.HasSuffix(method, suffix) {
			return true
		}
	}
	return false
}

// delegated names the methods that a node may ask of another for its own caller.
func delegated(method string) bool {
	return strings.HasSuffix(method, "/Act") || strings.HasSuffix(method, "/Outbound") || strings.HasSuffix(method, "/Retry")
}

// fromNode says whether another node asks.
func (s *Server) fromNode(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok || s.cfg.FromNode == nil {
		return false
	}
	t, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok && s.cfg.FromNode(t.State)
}

func (s *Server) authorized(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !changing(info.FullMethod) {
		return next(ctx, req)
	}
	if p, ok := peer.FromContext(ctx); ok {
		t, ok := p.AuthInfo.(credentials.TLSInfo)
		if ok && (s.cfg.MayChange(t.State) || passedOn(req)) {
			return next(ctx, req)
		}
		if ok && delegated(info.FullMethod) && s.fromNode(ctx) {
			if err := s.allowed(ctx); err != nil {
				s.cfg.Logger.Warn("admin_change_refused", zap.String("method", info.FullMethod), zap.String("via", caller(ctx)), zap.Error(err))
				return nil, status.Errorf(codes.PermissionDenied, "%s: %v", info.FullMethod, err)
			}
			return next(ctx, req)
		}
	}
	return nil, status.Errorf(codes.PermissionDenied, "%s changes something: it needs a certificate with the role admin (`postroad ca issue --admin NAME`) or the node's unix socket", info.FullMethod)
}

// passedOn are requests that another node has checked: every certificate that this
// listener admits is a node's or an administrator's, and a node may ask for its own
// mail anyway.
func passedOn(req any) bool {
	r, ok := req.(*queuev1.DequeueRequest)
	return ok && r.GetPassedOn()
}

// logged keeps a line of everything that changes something.
func (s *Server) logged(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if changing(info.FullMethod) {
		by := ""
		if r, ok := req.(interface{ GetBy() string }); ok {
			by = r.GetBy()
		}
		fields := []zap.Field{zap.String("method", info.FullMethod), zap.String("who", cmp.Or(s.who(ctx, by), "unix socket")), zap.Error(err)}
		if s.fromNode(ctx) {
			fields = append(fields, zap.String("via", caller(ctx)))
		}
		if d, ok := req.(*topologyv1.DrainRequest); ok {
			fields = append(fields, zap.String("name", d.GetName()), zap.String("drain", d.GetMode()), zap.String("by", d.GetBy()),
				zap.String("reason", d.GetReason()), zap.Bool("dry_run", d.GetDryRun()))
		}
		s.cfg.Logger.Info("admin_change", fields...)
	}
	return resp, err
}

// caller is the name in the certificate of who asks; empty over the unix socket.
func caller(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.AuthInfo == nil {
		return ""
	}
	t, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(t.State.PeerCertificates) == 0 {
		return ""
	}
	return t.State.PeerCertificates[0].Subject.CommonName
}
