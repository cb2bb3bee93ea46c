package gossip

import (
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/linkstate/sim"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// BenchmarkLinkChange measures what one link that goes down costs an
// organisation of 1,000 groups and some 3,000 servers: time until every table is
// the same, and bytes on each adjacency as gRPC would frame them. Wanted are
// (diameter × link delay + 100 ms) and 300 bytes.
func BenchmarkLinkChange(b *testing.B) {
	before := heap()
	const delay = 20 * time.Millisecond
	w := sim.Settled(sim.Config{
		Seed: 1, Groups: 1000, Servers: 5, Extra: 2000, Delay: delay,
		Detection: linkstate.Detection{GlitchInterval: time.Minute, ProbeInterval: time.Hour},
	})
	type ends [2]linkstate.GUID
	bytes := make(map[ends]int)
	w.OnSend = func(from, to linkstate.GUID, f linkstate.Frame) {
		if _, ok := f.(*linkstate.Keepalive); ok {
			return
		}
		if from.Compare(to) > 0 {
			from, to = to, from
		}
		bytes[ends{from, to}] += frameSize(f)
	}
	if err := w.Run(2 * time.Second); err != nil {
		b.Fatal(err)
	}
	perNode := float64(heap()-before) / float64(w.Servers())
	for b.Loop() {
		clear(bytes)
		hops := w.Fail()
		took := w.Converge(10 * time.Second)
		total, most := 0, 0
		for _, n := range bytes {
			total, most = total+n, max(most, n)
		}
		b.ReportMetric(float64(hops), "hops")
		b.ReportMetric(float64(took.Milliseconds()), "converge-ms")
		b.ReportMetric(float64(total)/float64(w.Adjacencies()), "bytes/adjacency")
		b.ReportMetric(float64(most), "most-bytes")
	}
	b.ReportMetric(perNode, "heap-bytes/node")
	b.ReportMetric(float64(w.Servers()), "servers")
	b.ReportMetric(float64(w.Adjacencies()), "adjacencies")
}

// frameSize is what a frame takes on the stream.
func frameSize(f linkstate.Frame) int {
	return framing + proto.Size(&linkstatev1.ExchangeRequest{Frame: encodeFrame(f)})
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
