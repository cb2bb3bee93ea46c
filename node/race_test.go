//go:build race

package node

// slowdown is what the race detector costs, roughly.
const slowdown = 5
