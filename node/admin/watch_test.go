package admin

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func alive(server string, connectors ...*linkstatev1.ConnectorEntry) *linkstatev1.TableEntry {
	return &linkstatev1.TableEntry{
		Server: server, Group: "paris", Connectors: connectors,
		Record: &linkstatev1.Record{Server: []byte(server), Status: linkstatev1.Status_STATUS_ALIVE, Incarnation: 1},
	}
}

func link(name string, up bool) *linkstatev1.ConnectorEntry {
	return &linkstatev1.ConnectorEntry{Connector: name, Up: up}
}

// A watcher is told first what holds, then what changes; one that sleeps misses
// what was true in between only; the node does not wait for it and ends without it.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	n := &fakeNode{name: "paris"}
	r := w.start(n)
	n.learn(alive("a", link("k", true), link("m", true)))
	c := linkstatev1.NewLinkStateServiceClient(w.local(r))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all, err := c.Watch(ctx, &linkstatev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := c.Watch(ctx, &linkstatev1.WatchRequest{Connector: "k"})
	if err != nil {
		t.Fatal(err)
	}
	next := func(s interface {
		Recv() (*linkstatev1.WatchResponse, error)
	}) *linkstatev1.WatchResponse {
		t.Helper()
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(all); !m.GetSnapshot() || len(m.GetChanges()) != 4 || m.GetNode() != "paris" {
		t.Errorf("first %v", m)
	}
	if m := next(one); !m.GetSnapshot() || len(m.GetChanges()) != 1 {
		t.Errorf("first of k %v", m)
	}
	n.learn(alive("a", link("k", true), link("m", false)))
	if m := next(all); m.GetSnapshot() || len(m.GetChanges()) != 1 || m.GetChanges()[0].GetConnector() != "m" || m.GetChanges()[0].GetNow() != "down" || m.GetChanges()[0].GetTimeUnixMs() == 0 {
		t.Errorf("then %v", m)
	}
	// Many changes that nobody reads meanwhile end in the last state.
	for i := range 5000 {
		n.learn(alive("a", link("k", i%2 == 0), link("m", false)))
	}
	n.learn(alive("a", link("k", false), link("m", true)))
	for last := ""; last != "up"; {
		for _, k := range next(all).GetChanges() {
			if k.GetConnector() == "m" {
				last = k.GetNow()
			}
		}
	}
	for last := ""; last != "down"; {
		for _, k := range next(one).GetChanges() {
			if k.GetConnector() != "k" {
				t.Errorf("was told of %v", k)
			}
			last = k.GetNow()
		}
	}
}

func TestWatchRefusesUnknownNames(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	c := linkstatev1.NewLinkStateServiceClient(w.local(r))
	for _, req := range []*linkstatev1.WatchRequest{{Connector: "nowhere"}, {Server: "nowhere"}} {
		s, err := c.Watch(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Recv()
		requireCode(t, err, codes.NotFound)
	}
}
