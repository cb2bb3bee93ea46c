package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// EmbedConfig says how to run etcd inside this process.
type EmbedConfig struct {
	// Dir keeps the data; it is made if it does not exist.
	Dir string
	// Name of the member; empty: "postroad". Never change it for a folder.
	Name string
	// ClientAddress and PeerAddress are "host:port"; port 0 takes a free one.
	// Empty: 127.0.0.1:0. With one member nobody ever calls the peer address.
	ClientAddress, PeerAddress string
	// Members has the peer address, "host:port", of every member by its name,
	// when there is more than this one; PeerAddress must then be that of Name.
	Members map[string]string
	// TLS for clients and peers; nil: none, for loopback only.
	TLS *EmbedTLS
	// Logger gets etcd's warnings and errors; nil: none.
	Logger *zap.Logger
}

// EmbedTLS names PEM files. Clients and peers must show a certificate of the CA.
type EmbedTLS struct{ CertFile, KeyFile, CAFile string }

// Embedded is a running etcd server.
type Embedded struct {
	etcd     *embed.Etcd
	scheme   string
	stopping atomic.Bool
}

// Limits of an embedded server. etcd's own are 2 GiB, 128 and 1.5 MiB, too small
// for a million recipients and for applying an organisation in one transaction.
// Give an etcd of your own the same: --quota-backend-bytes, --max-txn-ops,
// --max-request-bytes.
const (
	embedQuota        = 8 << 30
	embedMaxTxnOps    = 20_000
	embedMaxRequest   = 8 << 20
	embedStartTimeout = 30 * time.Second
)

// Embed starts etcd and returns when it answers. It refuses a busy port or a
// damaged folder with an error that says so.
func Embed(ctx context.Context, c EmbedConfig) (*Embedded, error) {
	cfg, scheme, err := c.server()
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: %w", err)
	}
	started := &Embedded{scheme: scheme}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(c.calmLogger(&started.stopping))
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded etcd in %s: %w", c.Dir, err)
	}
	started.etcd = e
	ctx, cancel := context.WithTimeout(ctx, embedStartTimeout)
	defer cancel()
	select {
	case <-e.Server.ReadyNotify():
		return started, nil
	case <-e.Server.StopNotify():
		err = errors.New("it stopped while starting")
	case <-ctx.Done():
		err = fmt.Errorf("it is not ready: %w; are the other members up?", ctx.Err())
	}
	started.Stop()
	return nil, fmt.Errorf("embedded etcd in %s: %w", c.Dir, err)
}

func (c EmbedConfig) server() (*embed.Config, string, error) {
	scheme := "http"
	if c.TLS != nil {
		scheme = "https"
	}
	client, err := listenURL(scheme, c.ClientAddress)
	if err != nil {
		return nil, "", err
	}
	peer, err := listenURL(scheme, c.PeerAddress)
	if err != nil {
		return nil, "", err
	}
	cfg := embed.NewConfig()
	cfg.Dir = c.Dir
	cfg.Name = c.Name
	if cfg.Name == "" {
		cfg.Name = "postroad"
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	if cfg.InitialCluster, err = c.cluster(scheme); err != nil {
		return nil, "", err
	}
	if c.Members == nil {
		cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
		// Alone there is nobody to wait for before the election.
		cfg.TickMs, cfg.ElectionMs = 20, 200
	}
	if c.TLS != nil {
		info := transport.TLSInfo{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, TrustedCAFile: c.TLS.CAFile, ClientCertAuth: true,
		}
		cfg.ClientTLSInfo, cfg.PeerTLSInfo = info, info
	}
	cfg.QuotaBackendBytes = embedQuota
	cfg.MaxTxnOps = embedMaxTxnOps
	cfg.MaxRequestBytes = embedMaxRequest
	// A node that was away for a day follows from where it was.
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "24h"
	cfg.EnableGRPCGateway = false
	return cfg, scheme, nil
}

// cluster is Members in etcd's form. etcd has an error of its own for a member that
// is not in the list, which names URLs and neither the flag nor the cure.
func (c EmbedConfig) cluster(scheme string) (string, error) {
	if c.Members == nil {
		return "", nil
	}
	switch own, listed := c.Members[c.Name]; {
	case !listed:
		return "", fmt.Errorf("the members are %s, this one's name is %q; it must be one of them",
			strings.Join(slices.Sorted(maps.Keys(c.Members)), ", "), c.Name)
	case own != c.PeerAddress:
		return "", fmt.Errorf("member %s listens on %s and the others know it by %s; both must be the same address", c.Name, c.PeerAddress, own)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.Members)) {
		u, err := listenURL(scheme, c.Members[name])
		if err != nil {
			return "", fmt.Errorf("member %s: %w", name, err)
		}
		list = append(list, name+"="+u.String())
	}
	return strings.Join(list, ","), nil
}

func (c EmbedConfig) calmLogger(stopping *atomic.Bool) *zap.Logger {
	log := c.Logger
	if log == nil {
		log = zap.NewNop()
	}
	held, _ := os.ReadDir(c.Dir) // what cannot be read, etcd reports
	return log.Named("etcd").WithOptions(zap.IncreaseLevel(zap.WarnLevel), zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return calm{core, len(held) == 0, stopping}
	}))
}

func listenURL(scheme, address string) (url.URL, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return url.URL{}, fmt.Errorf("address %q: must be HOST:PORT: %w", address, err)
	}
	if scheme == "http" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return url.URL{}, fmt.Errorf("address %s is open to the network without TLS; give certificates or use a loopback address", address)
	}
	return url.URL{Scheme: scheme, Host: address}, nil
}

// Endpoints are the addresses for [Config.Endpoints].
func (e *Embedded) Endpoints() []string {
	var endpoints []string
	for _, l := range e.etcd.Clients {
		endpoints = append(endpoints, e.scheme+"://"+strings.TrimPrefix(l.Addr().String(), e.scheme+"://"))
	}
	return endpoints
}

// Err reports that the server has failed; a send means it does not run any more.
func (e *Embedded) Err() <-chan error { return e.etcd.Err() }

// Stop ends the server; it returns when its files are closed. It may be called
// only once. Close clients first: etcd gives those that still watch some seconds.
func (e *Embedded) Stop() {
	e.stopping.Store(true)
	e.etcd.Close()
}
