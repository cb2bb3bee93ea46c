// Package directory keeps the organisation's configuration in etcd: typed
// objects, validated against the whole organisation, changed in transactions.
//
// # Keys
//
// Everything lies below /postroad/ORGANIZATION-PREFIX/:
//
//	object/KIND/NAME    one object, a marshalled directoryv1.Object without its revision
//	address/KEY         guard: the name of the recipient that owns the address
//	guid/GUID           guard: KIND/NAME of the object with this GUID
//	config              guard: touched by each change of anything but recipients
//
// The revision of an object is the etcd revision of its key. The guards make
// what must be unique fail inside the transaction, however many writers race,
// so that no writer has to read the organisation's million recipients to add
// one. Whoever changes configuration compares config; whoever writes recipients
// only compares the objects that they refer to. So two people who add mailboxes
// do not disturb each other, and a mailbox cannot be added to a server that is
// being removed.
//
// # Files
//
// People write YAML ([DecodeYAML], [EncodeYAML]), one document an object; the
// schema is the protobuf one. [Validate] knows the rules and reads no etcd.
// [Configuration] is what a node works with: an immutable, indexed snapshot of
// everything but the recipients.
package directory
