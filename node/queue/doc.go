// Package queue is advanced queuing: it keeps every accepted message moving
// until each of its recipients is settled.
//
// It has two halves. [Scheduler] is pure: it is told what happened and when, and
// answers with [Effect]s (dial, wake, read more from disk, expire, report a
// link). [Runner] performs them: it owns the goroutines, the spool and the
// clock.
//
// # A queue is a final destination, a link is a next hop
//
// A queue holds the messages of one [Key]: destination, class, and the routing
// groups they have been in. Its name is the key in text and is what the spool
// stores, so a restart knows where every queue leads without reading a message,
// and a change of the map moves queues between links without touching one.
//
// The visited groups are part of the key because routing must not send a message
// back to where it was: two messages to one server that came different ways may
// need different hops. They count as a set (order cannot matter to routing) and are dropped
// for local delivery, where there is nothing to route. Messages submitted here
// have visited nothing, so the usual cost is none; in transit there is one more
// queue for each way mail comes by.
//
// # What is in memory
//
// Of each queue the window: the entries with the smallest (due, ID), at most
// [Limits].Window and some in flight, less while all queues together come near to
// [Limits].Held. The cursor separates it from the rest:
//
//	every entry on disk with a position up to the cursor is in memory,
//	every entry beyond it is on disk only, and then more is set.
//
// An entry that is queued beyond the cursor is not kept; the window is filled
// again from disk when it runs low. A name is reserved before the plan is
// written and confirmed after, so that filling at that moment cannot bring in an
// entry twice.
//
// # Retry
//
// A connection that fails stops its link, not its messages: first glitch
// retries, then the virtual server's first, second, third and subsequent
// interval. A message that the peer deferred waits by itself, by the same
// intervals, while the link goes on. A message that was in flight when its
// connection broke goes back to its old place; when that has happened
// [Limits].ProblemAfter times it counts as deferred by itself, so that a message
// which breaks every connection cannot hold up the others.
//
// An entry keeps when it was deferred, beside the due time that is its key on disk: the
// interval that counts is that of now, and a forced connection is for all that was deferred
// before it, in memory or not.
//
// A host that hangs breaks no connection. When the map says that it is gone, its
// connections get nothing more, and one that stays silent is broken, so that
// what is in flight can follow the others to another way; see [Scheduler.Doubt].
//
// A link without queues keeps its clock until the next attempt is due and is
// forgotten then. A queue that the map moves to a link ends that link's wait:
// link state knows something newer than the last failure.
//
// # Connections
//
// Those to other hosts are bounded for the node, for each virtual server and for each
// domain. Links that find no room stand in line, and all have their turn; see bound.go.
//
// # Watchdog
//
// What stands still although nothing says what it waits for is found and freed:
// see [Scheduler.Watch]. An agent that never returns loses its connection's place
// and its messages, not more.
//
// # Commit
//
// Outcomes are committed by one goroutine for all connections, so that many
// share one sync while the connections go on. Reports are accepted in the same
// instant as the outcomes they tell of. A crash repeats at most what was in
// flight.
package queue
