package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// A storm of changes shares rebuilds: they take a tenth of the time at most, whatever
// one takes, and the last change is never left out.
func TestStormIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		rebuilds, seen := 0, int64(0)
		var changed atomic.Int64
		go func() {
			defer close(done)
			paced(ctx, changes, func() time.Duration {
				rebuilds++
				seen = changed.Load()
				time.Sleep(10 * time.Millisecond)
				return 10 * time.Millisecond
			})
		}()
		for range 1000 { // in a minute
			changed.Add(1)
			select {
			case changes <- struct{}{}:
			default:
			}
			time.Sleep(60 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if seen != changed.Load() {
			t.Errorf("the last table was made of change %d, the newest is %d", seen, changed.Load())
		}
		if share := float64(rebuilds) * 10 / 60_000; share > 0.11 || rebuilds < 300 {
			t.Errorf("%d rebuilds of 10 ms in a minute, %.0f %% of it", rebuilds, share*100)
		}
		cancel()
		<-done
	})
}

// bigConfiguration is the organisation of the wanted figures: 1,000 groups, 3,000
// servers, 10,000 connectors.
func bigConfiguration(tb testing.TB) *directory.Configuration {
	tb.Helper()
	const groups, servers, connectors = 1000, 3, 10_000
	var objects []*directoryv1.Object
	add := func(kind byte, n int, name string, o *directoryv1.Object) {
		g := directory.GUID{kind, byte(n >> 8), byte(n), 1, 2, 3, 4, byte(n), 5, byte(n >> 8)}
		o.Metadata = &directoryv1.Metadata{Guid: g.String(), Name: name}
		objects = append(objects, o)
	}
	group := func(g int) string { return fmt.Sprintf("g%d", g%groups) }
	for g := range groups {
		add('g', g, group(g), &directoryv1.Object{Spec: &directoryv1.Object_RoutingGroup{RoutingGroup: &directoryv1.RoutingGroup{}}})
		for s := range servers {
			name := fmt.Sprintf("g%d-%d", g, s)
			add('s', g*servers+s, name, &directoryv1.Object{Spec: &directoryv1.Object_Server{Server: &directoryv1.Server{RoutingGroup: group(g), Fqdn: name + ".test"}}})
		}
	}
	for i := range connectors {
		from, to := i, i*7919+1+i/groups
		if i < groups {
			to = from + 1
		}
		if from%groups == to%groups {
			to++
		}
		add('c', i, fmt.Sprintf("c%d", i), &directoryv1.Object{Spec: &directoryv1.Object_RoutingGroupConnector{RoutingGroupConnector: &directoryv1.RoutingGroupConnector{
			SourceGroup: group(from), TargetGroup: group(to), Cost: int32(1 + i%100), LocalBridgeheads: []string{group(from) + "-0", group(from) + "-1"},
		}}})
	}
	conf, err := directory.NewConfiguration(1, objects)
	if err != nil {
		tb.Fatal(err)
	}
	return conf
}

// BenchmarkStorm measures decisions of a node of the wanted figures while nothing
// happens, and while links flap 1,000 times a minute: records come in, the map is
// made anew, tables are swapped, all by the code of a real node.
func BenchmarkStorm(b *testing.B) {
	conf := bigConfiguration(b)
	self := mail.GUID(conf.Servers()[0].GUID)
	home := mail.GUID(conf.Servers()[len(conf.Servers())/2].GUID)
	members, timings, _ := topo.Members(conf, self)
	for _, storm := range []bool{false, true} {
		b.Run(map[bool]string{false: "calm", true: "storm"}[storm], func(b *testing.B) {
			m := linkstate.New(linkstate.Config{Self: linkstate.GUID(self), Incarnation: 1})
			now := time.Unix(1_800_000_000, 0)
			m.Configure(members, timings, now)
			peer := members.Servers[1].Server
			m.PeerUp(peer, linkstate.Protocol, now)
			var table atomic.Pointer[linkstate.Table]
			table.Store(m.Table())
			p := &Pipeline{routes: route.New(), rebuild: make(chan struct{}, 1)}
			var rebuilds, busy time.Duration
			rebuild := func() time.Duration {
				start := time.Now()
				p.routes.Update(p.follower.Next(conf, table.Load(), self, p.version.Add(1)), conf)
				p.changes.Note(p.routes, start, time.Since(start))
				took := time.Since(start)
				rebuilds, busy = rebuilds+1, busy+took
				return took
			}
			rebuild()
			rebuilds, busy = 0, 0

			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() { // the gossip of a node, and what follows from it
				defer close(done)
				tick := time.NewTicker(time.Minute / 1000)
				defer tick.Stop()
				for n := uint64(1); ; n++ {
					select {
					case <-ctx.Done():
						return
					case <-tick.C:
					}
					if !storm {
						continue
					}
					c := members.Connectors[int(n*31)%len(members.Connectors)]
					m.Receive(peer, &linkstate.Records{Records: []*linkstate.Record{{
						Server: c.Local[0], Incarnation: 1, Sequence: n, Status: linkstate.Alive,
						Connectors: []linkstate.ConnectorState{{Connector: c.GUID, Down: n%2 == 0, Reason: "refused", Since: int64(n)}},
					}}}, now)
					table.Store(m.Table())
					p.changed()
				}
			}()
			rebuilt := make(chan struct{})
			go func() { defer close(rebuilt); paced(ctx, p.rebuild, rebuild) }()

			var took []time.Duration
			dest := mail.Destination{Place: mail.PlaceServer, Server: home}
			for b.Loop() { // one second each
				for end := time.Now().Add(time.Second); ; {
					start := time.Now()
					if start.After(end) {
						break
					}
					if h := p.routes.Hop(dest, mail.Class{}, nil); h.Kind != mail.HopNode {
						b.Fatalf("hop %+v", h)
					}
					took = append(took, time.Since(start))
					time.Sleep(50 * time.Microsecond)
				}
			}
			cancel()
			<-done
			<-rebuilt
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds()), "p99.9-ns")
			b.ReportMetric(float64(rebuilds)/float64(b.N), "tables/s")
			if rebuilds > 0 {
				b.ReportMetric(float64(busy.Milliseconds())/float64(rebuilds), "ms/table")
			}
		})
	}
}
