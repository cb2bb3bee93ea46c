// Package bench measures relays from outside: clients that hand mail in and the
// next hop that takes it out play on loopback, around a Postroad node and around
// Postfix in turn, in one run. Absolute figures depend on the machine; the ratio
// says something. docs/benchmarks.md has the rows.
//
//	make bench
package bench
