// Package load counts what a node sends: messages and octets of the last day,
// for each connector and final destination, in buckets of an hour. It tells an
// operator what a connector carries, and what a change of the map would move.
//
// [Counter] is pure but for its lock: time is an argument. [Counter.File] is what
// is kept on disk; losing it loses numbers, never mail.
package load
