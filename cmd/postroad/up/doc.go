// Package up is `postroad up`: an organisation on this machine. Every node is a
// process of its own, as on hosts of their own; so is the embedded etcd. What a
// node process is given is what `postroad ca` and an administrator would make
// for a real host: a certificate, a configuration file, a data folder.
//
// A tour of the files: options (what is asked), layout (where things lie),
// organization (the YAML, moved to loopback ports), prepare (certificates,
// configuration files), child (one process, restarted when it dies), cluster
// (start, ready, stop), message (mail sent by hand or for --once), trip (the way
// it took), show (what the user sees).
package up
