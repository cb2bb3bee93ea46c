package directory

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startEtcd runs a real etcd in a folder of the test.
func startEtcd(t testing.TB, c EmbedConfig) *Embedded {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Logger = zaptest.NewLogger(t)
	e, err := Embed(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func openDirectory(t testing.TB, endpoints []string) *Directory {
	t.Helper()
	d, err := Open(context.WithoutCancel(t.Context()), Config{
		Endpoints: endpoints, Heartbeat: 50 * time.Millisecond, RequestTimeout: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// newDirectory is an empty directory on an etcd of its own.
func newDirectory(t testing.TB) *Directory {
	t.Helper()
	e := startEtcd(t, EmbedConfig{})
	t.Cleanup(e.Stop)
	return openDirectory(t, e.Endpoints())
}

func apply(t testing.TB, d *Directory, objs ...*directoryv1.Object) []Change {
	t.Helper()
	changes, _, _, err := d.Apply(t.Context(), objs, false)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func applyError(t testing.TB, d *Directory, objs ...*directoryv1.Object) error {
	t.Helper()
	_, _, _, err := d.Apply(t.Context(), objs, false)
	if err == nil {
		t.Fatal("the change was made")
	}
	return err
}

func get(t testing.TB, d *Directory, kind, name string) *directoryv1.Object {
	t.Helper()
	o, err := d.Get(t.Context(), kind, name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func requireIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}
