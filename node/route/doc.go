// Package route is the stage that asks the routing table. It holds the table of
// this moment and turns its decisions, which speak of servers and connectors,
// into hops, which speak of hosts, ports and options.
//
// The table is replaced as a whole ([Route.Update]); whoever waits for another
// way subscribes and asks again. No message is touched by that: queues ask.
package route
