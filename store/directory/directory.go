package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Config says where the directory is.
type Config struct {
	// Endpoints of etcd, "https://host:port" or "host:port"; at least one.
	Endpoints []string
	// TLS for the connection; nil: none.
	TLS *tls.Config
	// Organization is the key prefix, for several organisations in one etcd;
	// empty: "default".
	Organization string
	// DialTimeout bounds one attempt to connect; 0: 2 s.
	DialTimeout time.Duration
	// RequestTimeout bounds one request; 0: 3 s. A caller's shorter deadline wins.
	RequestTimeout time.Duration
	// Heartbeat is how often Watch asks etcd whether it has seen everything;
	// 0: 5 s. Three missed answers make it connect anew.
	Heartbeat time.Duration
	// Logger; nil: none.
	Logger *zap.Logger
}

// maxRedial is how long after etcd's return a client may still not notice.
const maxRedial = time.Second

// Directory is a client of the organisation's etcd, safe for concurrent use.
type Directory struct {
	client         *clientv3.Client
	keys           keyspace
	requestTimeout time.Duration
	heartbeat      time.Duration
	log            *zap.Logger
	contact        atomic.Int64 // Unix ns of the last answer; 0: none yet
}

// Open makes a client. It does not connect: a node must start while etcd is
// away, so only a configuration that can never work is an error. The client ends
// with ctx, or with Close.
func Open(ctx context.Context, c Config) (*Directory, error) {
	if len(c.Endpoints) == 0 {
		return nil, errors.New("directory: no endpoints; name at least one etcd server")
	}
	d := &Directory{
		keys:           newKeyspace(c.Organization),
		requestTimeout: orDefault(c.RequestTimeout, 3*time.Second),
		heartbeat:      orDefault(c.Heartbeat, 5*time.Second),
		log:            c.Logger,
	}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	client, err := clientv3.New(clientv3.Config{
		Context:              ctx,
		Endpoints:            c.Endpoints,
		TLS:                  c.TLS,
		DialTimeout:          orDefault(c.DialTimeout, 2*time.Second),
		DialKeepAliveTime:    d.heartbeat,
		DialKeepAliveTimeout: d.heartbeat,
		// The client's own retries would outlast the caller's patience: Watch
		// has its own, and people prefer an error to a hanging command.
		MaxUnaryRetries: 2,
		// By default gRPC waits up to two minutes before it tries again, however
		// long etcd has been back.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRedial},
			MinConnectTimeout: orDefault(c.DialTimeout, 2*time.Second),
		})},
		// etcd's own limit is the one that counts; see errTooLarge.
		MaxCallSendMsgSize: 64 << 20,
		Logger:             zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	d.client = client
	return d, nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

// Close ends all requests and watches.
func (d *Directory) Close() error {
	if err := d.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// LastContact is when etcd last answered anything; the zero time if it never did.
func (d *Directory) LastContact() time.Time {
	ns := d.contact.Load()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func (d *Directory) touched() { d.contact.Store(time.Now().UnixNano()) }

// txn runs one transaction with the request timeout.
func (d *Directory) txn(ctx context.Context, cmps []clientv3.Cmp, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, d.requestTimeout)
	defer cancel()
	resp, err := d.client.Txn(ctx).If(cmps...).Then(ops...).Commit()
	if err != nil {
		return nil, classify(err)
	}
	d.touched()
	return resp, nil
}

func (d *Directory) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, d.requestTimeout)
	defer cancel()
	resp, err := d.client.Get(ctx, key, opts...)
	if err != nil {
		return nil, classify(err)
	}
	d.touched()
	return resp, nil
}

// errTooLarge: etcd's limits on one transaction.
var errTooLarge = errors.New("more than etcd takes in one transaction; apply fewer objects at once, or raise etcd's --max-txn-ops and --max-request-bytes")

func classify(err error) error {
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = e.Code()
	}
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd is full: %w; compact and defragment it, or raise --quota-backend-bytes", err)
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge), code == codes.ResourceExhausted:
		return fmt.Errorf("%w (%w)", errTooLarge, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, clientv3.ErrNoAvailableEndpoints),
		code == codes.Unavailable, code == codes.DeadlineExceeded:
		return fmt.Errorf("%w: etcd does not answer: %w; mail goes on with the configuration each node has", ErrUnavailable, err)
	}
	return fmt.Errorf("etcd: %w", err)
}
