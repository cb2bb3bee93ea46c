// Package routing decides where mail goes next. It is pure: a [Topology] goes
// in, an immutable [Table] comes out, and a table answers the same question
// always in the same way. It knows no clock, no network and no directory.
//
// # The map
//
// Routing groups are the vertices. A routing group connector, or an SMTP
// connector that names groups it leads to, is a one-way edge with a cost. An
// edge is usable while one of its bridgeheads is live on each side. Paths are
// the cheapest (Dijkstra); of equally cheap ones the one with the fewest hops,
// then the one that begins with a connector of which this server is a
// bridgehead, then the one whose first connector has the highest weight for
// this server. Each hop has a cost of at least 1, so however servers break
// their ties, the rest of the way gets shorter with each hop.
//
// # Order of the rules for addresses outside
//
//  1. candidates are the connectors with an address space that matches;
//  2. those that the message may not use do not exist for it;
//  3. the most specific pattern among the rest wins, whatever the costs;
//  4. of these, those that can be reached now; if there are none the message
//     waits, unless all of them allow less specific ones;
//  5. the cheapest, path and address space together;
//  6. in a tie: bridgehead on this server, bridgehead in this group, highest
//     weight of (server, connector);
//  7. in the connector: this server if it is a live bridgehead, else the live
//     bridgehead with the highest weight of (server, bridgehead).
//
// # Explain
//
// There is one decision procedure. [Table.ToServer] and [Table.ToAddress] run
// it without a recorder and then allocate nothing when mail can move;
// [Table.ExplainServer] and [Table.ExplainAddress] run it with one.
package routing
