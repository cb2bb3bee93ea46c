// Package directory keeps the organisation's configuration in etcd: typed
// objects, validated against the whole organisation, changed in transactions.
//
// # Keys
//
// Everything lies below /postroad/ORGANIZATION/, values are empty unless said:
//
//	identity                    a UUID, written by the first change
//	object/config/KIND/NAME     marshalled directoryv1.Object without its revision
//	object/recipient/NAME       the same; a range of its own, for it may be huge
//	guard/address/KEY           name of the recipient that owns the address
//	guard/guid/GUID             Kind/name of the object with this GUID
//	guard/home/SERVER/NAME      the recipient has its mailbox on the server
//	guard/group/NAME            the recipient is a distribution group
//	touched/config              written by each change of configuration
//	touched/groups              written by each change of a group, and each
//	                            deletion of a recipient
//
// The revision of an object is the etcd revision of its key.
//
// # Transactions
//
// A change is planned on what the directory holds at one revision, validated as
// if it were made, and committed if nothing that the plan depends on has changed
// since; otherwise it is planned anew. What it depends on:
//
//	the objects to change         each one's own revision
//	rules among configuration     touched/config
//	loops among groups, members   touched/groups
//	an address, a GUID            its guard: free, or held by somebody who gives it up
//	a mailbox's server            that it exists; deleting a server compares that
//	                              guard/home/SERVER/ is empty
//
// So two people who add mailboxes do not disturb each other, no writer reads a
// million recipients to add one, and still no interleaving breaks a rule.
//
// # Files
//
// People write YAML ([DecodeYAML], [EncodeYAML]), one document an object; the
// schema is the protobuf one. [Validate] knows the rules and reads no etcd.
// [Configuration] is what a node works with: an immutable, indexed snapshot of
// everything but the recipients.
package directory
