package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/postroad/postroad/deploy/scenarios"
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/track"
	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look at it and run the test with -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// threeSites is the organisation of the demo with a GUID of its own for each
// object, the same in every run.
func threeSites(t *testing.T) []*directoryv1.Object {
	t.Helper()
	objs, err := directory.DecodeYAML(bytes.NewReader(scenarios.ThreeSites), "three-sites.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range objs {
		var g uuid.UUID
		binary.BigEndian.PutUint64(g[8:], uint64(i+1))
		o.GetMetadata().Guid = g.String()
	}
	return objs
}

// snapshot is a directory that holds objects and does not change.
type snapshot struct{ objs []*directoryv1.Object }

func (s snapshot) Watch(ctx context.Context, _ directory.Position, fn func(directory.Event) error) error {
	err := fn(directory.Event{
		Position: directory.Position{Identity: "test", Revision: 9}, Put: s.objs, Snapshot: true, Begin: true, End: true,
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// newPipeline wires paris-1 of the demo over real stores. Nothing runs, so
// nothing is sent.
func newPipeline(t *testing.T) *Pipeline {
	t.Helper()
	dir, log := t.TempDir(), zap.NewNop()
	c := follow(t, filepath.Join(dir, "catalog"), threeSites(t))
	s, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{Logger: log, MinFree: 1 << 20, Recipients: queue.Recipients})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s.Close()) })
	tracking, err := track.New(track.Config{Dir: filepath.Join(dir, "tracking"), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, tracking.Close()) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	self, ok := c.Config().Server("paris-1")
	if !ok {
		t.Fatal("the catalog has no paris-1")
	}
	p, err := New(Config{
		Self: self, Version: "test", Data: dir, Spool: s, Catalog: c, Pressure: unpressed(), Tracking: tracking,
		Identity: identity(t, filepath.Join(dir, "ca"), "paris-1"), Gossip: l, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cancel)
	t.Cleanup(func() { _ = p.Close() })
	p.Rebuild()
	return p
}

// follow is a catalog that has taken over objects.
func follow(t *testing.T, dir string, objs []*directoryv1.Object) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(dir, catalog.Options{Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx, snapshot{objs}) }()
	t.Cleanup(func() {
		cancel()
		<-done
		closed(t, c.Close())
	})
	there := make(chan struct{}, 1)
	defer c.Subscribe(func(conf *directory.Configuration) {
		if conf.HasOrganization() {
			select {
			case there <- struct{}{}:
			default:
			}
		}
	})()
	<-there
	return c
}

func identity(t *testing.T, dir, server string) *trust.Identity {
	t.Helper()
	ca, err := trust.OpenAuthority(dir, "example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := trust.Files{CA: filepath.Join(dir, trust.AuthorityCert), Cert: filepath.Join(dir, "s.crt"), Key: filepath.Join(dir, "s.key")}
	if err := ca.Issue(trust.Name{Organization: "example", Role: trust.RoleServer, Name: server}, nil, f.Cert, f.Key, time.Now()); err != nil {
		t.Fatal(err)
	}
	id, err := trust.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func closed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// content is a message in memory.
type content string

func (c content) Open() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(c))), nil
}
func (c content) Size() int64 { return int64(len(c)) }

// unpressed is a node that is short of nothing.
func unpressed() *pressure.Sampler {
	return pressure.New(pressure.Config{
		Measure: func() pressure.Sample {
			return pressure.Sample{pressure.Unknown, pressure.Unknown, pressure.Unknown, pressure.Unknown}
		},
		Limits: func() pressure.Limits { return pressure.Limits{} },
	})
}
