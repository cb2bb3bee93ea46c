package pipeline

import "syscall"

// descriptors is how many files and connections the process may have open; 0: unknown.
func descriptors() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(l.Cur, 1<<30))
}

// inboundShare and outboundShare are the parts of them for clients, and for connections
// to other hosts. The rest is for the spool and for nodes: a store that cannot open its
// files stands still.
func inboundShare() int  { return descriptors() / 4 * 3 }
func outboundShare() int { return descriptors() / 8 }
