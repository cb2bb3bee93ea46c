// Package node is one node: New reads what it was given, Run boots it in a fixed
// order of named events, runs until it is told to stop, and takes everything
// down in the opposite order, so that nothing that still works loses what it
// works with.
//
// The boot, each event only after the ones before:
//
//	spool          the folder is opened and locked; a crash is repaired
//	catalog        yesterday's configuration can be read
//	tracking       events can be kept
//	directory      etcd is followed, whether it answers or not
//	configuration  the catalog knows this server
//	link state     yesterday's table is restored, neighbours are dialed
//	routing        the first table is built
//	queues         what the spool holds moves on
//	admin          postroadctl gets answers
//	smtp           virtual servers listen
//	ready
//
// Everything a stage does for a message is wired in package pipeline.
package node
