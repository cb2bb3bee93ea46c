// Package wan is a wide-area network for end-to-end tests: every host has a
// network namespace and addresses of its own, and every packet between two hosts
// goes through this process, which can hold it back, lose it or keep it.
//
// Each host's only interface is a TUN device whose other end is here. So a link is
// cut for one direction or for both, is slow, loses packets or lets a single
// port pass, by one call and from one packet to the next, for TCP as it is:
// nothing is reset, nobody is told, retransmission timers run. That needs root
// and /dev/net/tun, and neither kernel modules for delay and loss nor the
// programs that set up bridges and filters, which a bare machine may lack.
//
// Namespaces have no names and devices no file: they vanish with this process,
// however it ends. Processes on the hosts get SIGKILL when the thread that
// started them ends, so they do too.
package wan
