package admin

import (
	"context"

	"google.golang.org/grpc"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Traffic is the asked node's own.
func (t *topologyService) Traffic(context.Context, *topologyv1.TrafficRequest) (*topologyv1.TrafficResponse, error) {
	return t.s.cfg.Node.Traffic(), nil
}

// traffic asks every node, this one included, sorted by name.
func (s *Server) traffic(ctx context.Context) ([]*topologyv1.TrafficResponse, map[string]string) {
	answers, missing := all(ctx, s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*topologyv1.TrafficResponse, error) {
		return topologyv1.NewTopologyServiceClient(c).Traffic(ctx, &topologyv1.TrafficRequest{})
	})
	own := s.cfg.Node.Traffic()
	answers[own.GetNode()] = own
	list := make([]*topologyv1.TrafficResponse, 0, len(answers))
	for _, name := range sortedNames(answers) {
		list = append(list, answers[name])
	}
	return list, missing
}

// addUp puts what all nodes sent, and what waits on them, into the map of one.
func addUp(m *topologyv1.ShowResponse, of []*topologyv1.TrafficResponse) {
	type sum struct{ queued, messages, bytes int64 }
	by := make(map[string]sum)
	for _, t := range of {
		for name, n := range t.GetQueued() {
			s := by[name]
			s.queued += n
			by[name] = s
		}
		for _, f := range t.GetFlows() {
			s := by[f.GetConnector()]
			s.messages, s.bytes = s.messages+f.GetMessages(), s.bytes+f.GetBytes()
			by[f.GetConnector()] = s
		}
	}
	for _, k := range m.GetConnectors() {
		s := by[k.GetName()]
		k.Queued, k.Messages, k.Bytes = s.queued, s.messages, s.bytes
	}
}
