// Package history keeps the last routing tables of a node, so that an operator can
// ask afterwards why mail went where it went. Kept is not a table but what it was
// made of, the configuration and the link state, and of those only what differs
// from the version before: a table is built again when somebody asks.
//
// # Bounds
//
// The last [MaxVersions] that changed something, and at most [MaxBytes] of
// differences: a configuration that is written anew every minute shortens the
// history, it does not fill the disk. What falls off the old end becomes part of
// the base, a whole state, on which the differences stand.
//
// # File
//
// A file of records, each its length (varint), a CRC-32C of four octets, and a
// marshalled topologyv1.HistoryStep; the first one is the base. Records are
// appended and not synced. A record that a crash cut short ends the file: what
// came before holds. When what was appended outgrows what is kept, the file is
// written anew beside the old one and takes its place.
//
// # Numbers
//
// A version's number is never given twice, though most versions change nothing and
// are not kept, and though a process may be killed: numbers are reserved ahead, by a
// record of their own, and what is left of them is given back at a clean end.
package history
