package node

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/postroad/postroad/node/trust"
)

func TestEndsSoon(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		left, since time.Duration // since: of the last reminder
		want        bool
	}{
		{31 * day, 1000 * day, false},
		{30*day - time.Second, 1000 * day, true},
		{29 * day, day - time.Second, false},
		{29 * day, day, true},
		{-day, day, true},
	} {
		if got := endsSoon(now.Add(c.left), now.Add(-c.since), now); got != c.want {
			t.Errorf("%v left, reminded %v ago: %v", c.left, c.since, got)
		}
	}
}

// A certificate that ends soon is named in the log, once at first.
func TestIdentityExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, paris := t.TempDir(), trust.Name{Organization: "example", Role: trust.RoleServer, Name: "paris-1"}
		ca, err := trust.OpenAuthority(dir, "example", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		f := trust.Files{CA: filepath.Join(dir, trust.AuthorityCert), Cert: filepath.Join(dir, "p.crt"), Key: filepath.Join(dir, "p.key")}
		core, logs := observer.New(zap.WarnLevel)
		for _, age := range []time.Duration{0, 390 * 24 * time.Hour} {
			if err := ca.Issue(paris, nil, f.Cert, f.Key, time.Now().Add(-age)); err != nil {
				t.Fatal(err)
			}
			n, err := New(Config{Name: "paris-1", Organization: "example", Data: dir, TLS: f}, Deps{Logger: zap.New(core)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := n.followIdentity(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if got, want := logs.FilterMessage("identity_expires").Len(), int(min(age, 1)); got != want {
				t.Errorf("%d reminders of a certificate %v old, want %d", got, age, want)
			}
		}
	})
}
