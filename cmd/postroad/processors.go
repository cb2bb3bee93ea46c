package main

import "runtime"

// waiting is how many threads of a busy node wait in the file system at most times: one
// for the sync of the spool's log, one for tables, tracking or the node's log.
const waiting = 2

// processors is how many threads run Go code at once (GOMAXPROCS). A thread that enters a
// call of the file system keeps its place until the runtime takes it away, which it
// does 20 µs to 10 ms later. The log is being synced half of the time, so on two cores one of two
// places would be empty while mail waits. What an administrator set holds.
func processors(usable int, set string) int {
	if set != "" {
		return usable
	}
	return usable + waiting
}

func useProcessors(getenv func(string) string) {
	runtime.GOMAXPROCS(processors(runtime.GOMAXPROCS(0), getenv("GOMAXPROCS")))
}
