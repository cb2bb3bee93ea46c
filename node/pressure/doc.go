// Package pressure says how short of a resource a node is, and what follows: at
// [Medium] new mail from outside is slowed, at [High] all new mail is refused with
// 452 4.3.1, that of other nodes too. Connections are answered, what is in goes on
// to its mailboxes and next hops, reports are made: all of that frees room.
//
// [Gauge] is pure: it is given measurements and limits and remembers the levels.
// A level that was entered is left only when the resource is clearly better than
// its threshold, so that a node does not refuse and accept in turn. [Sampler]
// measures.
package pressure
