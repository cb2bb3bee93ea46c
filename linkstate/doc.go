// Package linkstate is what the cluster knows about itself: which servers live
// and which connectors work, agreed between all nodes without a master. It
// decides and does no I/O: time, randomness and frames come in as arguments,
// what has to be done goes out as a list of [Effect]s.
//
// # Who says what
//
// Each server originates one [Record]: for every connector of which it is a
// bridgehead, up or down, since when and why; its drain state; its version.
// Nobody else changes those. Only the status of a record may be set by others:
// a server that falls silent is accused by those who watch it, first as
// Suspect, then as Down. The accused takes it back by a higher incarnation of
// its own record, which nobody else may raise.
//
// A server is watched by the other members of its routing group. A group of one
// has no other member; there the servers at the other end of its connectors
// watch. Of a group of several that fell silent as a whole nobody in it can speak
// either: there the servers at the other end of its connectors accuse every
// member, after four times the patience.
//
// A connector is down for the organisation when every bridgehead of it says so or
// is down itself; that conclusion is drawn by the reader of the table.
//
// # Order
//
// Two records of one server are ordered by incarnation, then status (down beats
// alive), then sequence, then content hash. The order is total ([Compare]), so
// keeping the greater of two is commutative, associative and idempotent: the
// way and the number of times a record travels do not matter.
//
// # Flooding
//
// Neighbours are all members of the own group and, for each connector of which
// the server is a local or a remote bridgehead, the servers at the other end.
//
//   - A record that was made here goes to every neighbour.
//   - A record learned from another group goes to every neighbour but the one it
//     came from.
//   - A record learned from the own group goes to neighbours in other groups
//     only: its maker has told the members already.
//   - An accusation goes to the accused as well, whatever way it came, since
//     the accuser is the one that cannot reach it.
//   - A record older than the own one is answered with the own one.
//
// To a peer that is known to have a record, the next one travels as a [Patch]: few
// octets, whatever the number of connectors. Patches and whole records mean the
// same; whoever cannot use a patch asks for the whole.
//
// # Synchronisation
//
// A [Digest] without entries carries only the hash of a table. Whoever receives
// a bare digest that differs from its own answers with a full one; whoever
// receives a full one answers with the records that are newer here and a [Want]
// for those that are newer there. Bare digests are sent by the higher of two
// GUIDs when a stream opens, by everyone to one random neighbour each
// anti-entropy interval, and when two keep-alives in a row show hashes that
// differ but have come to rest. A difference that stays is told as [Diverged].
//
// # Truth about existence
//
// The directory says which servers exist ([Members]). Records of other servers
// are dropped when they arrive and when they leave the directory; a server that
// is new in the directory is asked for with a Want. The directory says as well of
// whom news can come at all: a server that no chain of streams leads to is unknown,
// whatever was heard of it before.
package linkstate
