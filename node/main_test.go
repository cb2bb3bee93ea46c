package node

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(deadDisk) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// eventually waits until check gives nil and fails with its last error after
// within. A cluster's parts speak over real sockets, which no virtual clock
// reaches.
func eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", within, err)
		}
		<-tick.C
	}
}
