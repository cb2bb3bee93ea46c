// Package admin is the node's gRPC API: what postroadctl, grpcurl and the other
// nodes ask. It reads snapshots and passes commands on; it decides nothing.
//
// The same services are served on a unix socket that only its owner may open,
// in the clear, and on TCP with mutual TLS. Over TCP any certificate of the
// organisation may read; changes need one with the role admin.
//
// Some questions concern all nodes (queues, tracking, digests). The asked node
// passes them on and says which nodes did not answer; none is waited for longer
// than [peerTimeout].
package admin
