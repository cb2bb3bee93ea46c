// Package catalog is a node's own replica of the directory, on disk: the
// configuration as one immutable snapshot, the recipients by name and by every
// address. A node starts and routes from it while etcd is away.
//
// # Folder
//
// FORMAT names the owner and the version of the folder, db/ is a Pebble store:
//
//	c/KIND/NAME   configuration object, marshalled
//	r/NAME        recipient, marshalled
//	m/NAME/GROUP  the recipient is a member that the group itself lists
//	a/KEY         name of the recipient that owns the address (directory.AddressKey)
//	s/state       how far the catalog has followed: identity, revision, contact, count
//
// An event of the directory is one batch, its position included, so a crash
// leaves the catalog as it was after some earlier event, from where it follows
// on. Batches are not synced, because everything can be fetched again; Pebble's
// log keeps their order. A snapshot comes in pages over a catalog that stays
// readable: each recipient is at all times either the old or the new one. The
// position is given up before the first page and set after the last.
//
// The contents are never worth a repair: a damaged folder is refused, and cured
// by moving it away.
package catalog
