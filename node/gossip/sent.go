package gossip

import (
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// sent counts the octets of frames that this node has sent, by their kind.
type sent struct{ records, digests, wants, keepalives atomic.Int64 }

// framing is what surrounds a message on the stream: five octets of gRPC and nine of
// an HTTP/2 frame (RFC 9113 section 4.1).
const framing = 5 + 9

func (s *sent) count(f linkstate.Frame, wire *linkstatev1.Frame) {
	n := int64(framing + proto.Size(&linkstatev1.ExchangeRequest{Frame: wire}))
	switch f.(type) {
	case *linkstate.Records:
		s.records.Add(n)
	case *linkstate.Digest:
		s.digests.Add(n)
	case *linkstate.Want:
		s.wants.Add(n)
	case *linkstate.Keepalive:
		s.keepalives.Add(n)
	}
}

// Sent is how many octets of each kind of frame this node has sent since its start:
// "records" are news, "digests" and "wants" comparisons, "keepalives" what it costs
// when nothing happens.
func (r *Runner) Sent() map[string]int64 {
	return map[string]int64{
		"records": r.sent.records.Load(), "digests": r.sent.digests.Load(),
		"wants": r.sent.wants.Load(), "keepalives": r.sent.keepalives.Load(),
	}
}
