// Package gossip carries link state between nodes: it gives the pure machine of
// package linkstate a clock, a disk and gRPC streams, and performs its effects.
//
// # Who dials
//
// Of two neighbours the one with the lower GUID dials, so each pair has one
// stream; it carries frames both ways. The other one stands by: where there has
// been no stream for six keep-alives it dials as well, for a firewall may let
// connections through in one direction only. A newer stream between the same two
// replaces the older one, which may be a corpse that TCP has not noticed yet.
//
// # Who is there
//
// A stream begins with a Hello from each side. The one that dials has already
// checked the other by its TLS settings; the one that is called compares the
// Hello with the certificate. Streams from servers that are no neighbours by
// this node's directory are refused; the caller tries again later.
//
// # Slow readers
//
// Frames for a peer wait in an outbox that holds at most one record for each
// server, one digest and one keep-alive. A peer that reads slowly misses
// intermediate states, never the last one, and costs a bounded amount of memory.
//
// # Locking
//
// One mutex guards the machine and the neighbours. Everything done under it is
// quick: effects that may block run in goroutines of their own.
package gossip
