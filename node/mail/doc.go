// Package mail holds the nouns every stage of a node shares: addresses,
// envelopes, statuses, outcomes, next hops. It does no I/O and knows no stage.
//
// A message's life in these nouns: an [Envelope] is accepted, the categorizer
// turns its recipients into [Target]s, routing gives each target's
// [Destination] a [Hop], delivery runs a [Transaction] over the hop and returns
// one [Outcome] for each recipient.
package mail
