package directory

import (
	"net"
	"testing"
	"time"
)

// freeAddress is a loopback address nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestUnavailableQuickly(t *testing.T) {
	start := time.Now()
	d, err := Open(t.Context(), Config{Endpoints: []string{"http://" + freeAddress(t)}, RequestTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatalf("Open must not need etcd: %v", err)
	}
	defer d.Close()
	_, _, _, err = d.Apply(t.Context(), loadThreeSites(t), false)
	requireIs(t, err, ErrUnavailable)
	_, err = d.Get(t.Context(), KindServer, "paris-1")
	requireIs(t, err, ErrUnavailable)
	_, _, err = d.List(t.Context(), "")
	requireIs(t, err, ErrUnavailable)
	_, _, err = d.Delete(t.Context(), KindServer, "paris-1", 0, false)
	requireIs(t, err, ErrUnavailable)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("four refusals took %s", took)
	}
	if !d.LastContact().IsZero() {
		t.Error("claims to have had contact")
	}
}

func TestWatchOutlivesEtcd(t *testing.T) {
	config := EmbedConfig{Dir: t.TempDir(), ClientAddress: freeAddress(t)}
	e := startEtcd(t, config)
	d := openDirectory(t, e.Endpoints())
	apply(t, d, loadThreeSites(t)...)
	r := newReplica()
	stop := follow(t, d, r)
	defer stop()
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	e.Stop()
	_, _, _, err := d.Apply(t.Context(), loadThreeSites(t), false)
	requireIs(t, err, ErrUnavailable)
	e = startEtcd(t, config)
	defer e.Stop()
	// A second client, so that the change does not depend on the first one's pause.
	apply(t, openDirectory(t, e.Endpoints()), mailbox("new", "oslo-1", "new@example.test"))
	r.until(t, "what came after the outage", r.has("new"))
	if r.snapshots != 1 {
		t.Errorf("%d snapshots, want the first only", r.snapshots)
	}
}

// A wiped etcd may soon have the old revision again: only the identity tells.
func TestWatchNoticesAnotherDirectory(t *testing.T) {
	old, wiped := newDirectory(t), newDirectory(t)
	apply(t, old, loadThreeSites(t)...)
	r := newReplica()
	stop := follow(t, old, r)
	r.until(t, "the organisation", func() bool { return len(r.objects) == 32 })
	stop()
	apply(t, wiped, loadThreeSites(t)...)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		apply(t, wiped, mailbox(name, "oslo-1", name+"@example.test"))
	}
	stop = follow(t, wiped, r)
	defer stop()
	r.until(t, "the other directory", func() bool { return len(r.objects) == 37 })
	if r.snapshots != 2 {
		t.Errorf("%d snapshots, want one of each directory", r.snapshots)
	}
}

func TestEmbedRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, c := range map[string]EmbedConfig{
		"busy port":         {ClientAddress: busy.Addr().String()},
		"no TLS on network": {ClientAddress: "192.0.2.1:2379"},
		"not an address":    {ClientAddress: "127.0.0.1"},
		"not a member":      {Name: "d", PeerAddress: "127.0.0.1:1", Members: map[string]string{"a": "127.0.0.1:1"}},
		"two addresses":     {Name: "a", PeerAddress: "127.0.0.1:1", Members: map[string]string{"a": "127.0.0.1:2"}},
		"a URL":             {Name: "a", PeerAddress: "https://127.0.0.1:1", Members: map[string]string{"a": "https://127.0.0.1:1"}},
	} {
		c.Dir = t.TempDir()
		if e, err := Embed(t.Context(), c); err == nil {
			e.Stop()
			t.Errorf("%s: it started", name)
		}
	}
}
