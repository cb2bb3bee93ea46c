package harness

import (
	"hash/fnv"
	"net"
	"os"
	"strconv"
	"testing"
)

// Ports finds a block of n free loopback ports below the range from which the
// kernel takes ephemeral ones, so that no outgoing connection sits on them
// later. Tests that run at the same time start looking at different places.
func Ports(t testing.TB, n int) int {
	t.Helper()
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.Name() + strconv.Itoa(os.Getpid())))
	const low, high = 10000, 32000
	start := low + int(h.Sum32()%uint32((high-low)/n))*n
	for i := range (high - low) / n {
		base := low + (start-low+i*n)%(high-low)
		if base+n <= high && free(base, n) {
			return base
		}
	}
	t.Fatalf("no %d free ports in a row between %d and %d", n, low, high)
	return 0
}

func free(base, n int) bool {
	for p := base; p < base+n; p++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
