// Package topo is the one place where the directory (what could be) and link
// state (what is) meet. It is pure: from a snapshot of both it makes the
// topology that routing decides on, and from the directory the members that
// link state watches.
//
// Where the two disagree, the directory says what exists and link state says
// how it does. A server or bridgehead of which no record is known counts as up:
// mail finds out, and refusing to try would keep a cluster that has just
// started from ever moving anything. But it stands behind those that are known to
// live, and its group declares it down when it stays silent.
package topo
