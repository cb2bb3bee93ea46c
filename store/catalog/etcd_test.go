package catalog

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func startEtcd(t *testing.T, dir, address string) *directory.Embedded {
	t.Helper()
	e, err := directory.Embed(t.Context(), directory.EmbedConfig{Dir: dir, ClientAddress: address})
	must(t, err)
	return e
}

// follow keeps the catalog up to date until stop is called.
func follow(t *testing.T, c *Catalog, d *directory.Directory) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx, d) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow ended with %v", err)
		}
	}
}

// eventually waits until the configuration or a heartbeat makes ok true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func knows(t *testing.T, c *Catalog, address string) func() bool {
	return func() bool {
		_, ok, err := c.Lookup(directory.AddressKey(address))
		must(t, err)
		return ok
	}
}

// A node's life: it learns the organisation, restarts and answers without etcd,
// and learns what it has missed when etcd is back.
func TestNodeOutlivesEtcd(t *testing.T) {
	f, err := os.Open("../../deploy/scenarios/three-sites.yaml")
	must(t, err)
	defer f.Close()
	objs, err := directory.DecodeYAML(f, "three-sites.yaml")
	must(t, err)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	etcdDir, dir := t.TempDir(), t.TempDir()
	e := startEtcd(t, etcdDir, address)
	d, err := directory.Open(t.Context(), directory.Config{
		Endpoints: []string{"http://" + address}, Heartbeat: 50 * time.Millisecond, RequestTimeout: 20 * time.Second,
	})
	must(t, err)
	defer d.Close()

	c := open(t, dir, Options{})
	stop := follow(t, c, d)
	_, _, _, err = d.Apply(t.Context(), objs, false)
	must(t, err)
	eventually(t, "an organization", func() bool { return c.Config().HasOrganization() })
	eventually(t, "alice", knows(t, c, "Alice.Martin@example.test"))
	if c.Recipients() != 9 || len(c.Config().Servers()) != 5 {
		t.Errorf("%d recipients, %d servers", c.Recipients(), len(c.Config().Servers()))
	}
	stop()
	closed(t, c)
	e.Stop()

	c = open(t, dir, Options{})
	defer closed(t, c)
	if !c.Config().HasOrganization() {
		t.Error("the organization was forgotten")
	}
	if !knows(t, c, "everyone@example.test")() {
		t.Error("everyone was forgotten")
	}
	stop = follow(t, c, d)
	defer stop()
	outage := time.Now()
	if c.Age(outage) <= 0 {
		t.Error("the catalog claims to be fresh while etcd is away")
	}

	e = startEtcd(t, etcdDir, address)
	defer e.Stop()
	_, _, _, err = d.Apply(t.Context(), []*directoryv1.Object{osloMailbox("late")}, false)
	must(t, err)
	eventually(t, "what came after the outage", knows(t, c, "late@example.test"))
	eventually(t, "contact", func() bool { return c.Age(outage) == 0 })
}

func osloMailbox(name string) *directoryv1.Object {
	m := mailbox(name, name+"@example.test")
	m.GetRecipient().GetMailbox().HomeServer = "oslo-1"
	return m
}
