package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

// Thresholds of a Server object are live: a node refuses all new mail, other
// nodes' too, answers connections, says which resource it is short of, and takes
// mail again.
func TestBackPressureOfALiveNode(t *testing.T) {
	c := startCluster(t)
	set := func(b *directoryv1.BackPressure) {
		o := c.object("Server", "berlin-1")
		o.GetServer().BackPressure = b
		c.apply(o)
	}
	probe := func() string {
		k, _ := dialSMTP(t, c.members["berlin-1"].smtp)
		k.say("EHLO new.example")
		return k.say("MAIL FROM:<a@outside.example>")
	}
	eventually := func(what string, ok func() error) {
		t.Helper()
		end := time.Now().Add(2 * patience)
		for err := ok(); err != nil; err = ok() {
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	answers := func(want string) func() error {
		return func() error {
			if got := probe(); !strings.HasPrefix(got, want) {
				return fmt.Errorf("%s, want %s", got, want)
			}
			return nil
		}
	}
	eventually("at first", answers("250"))
	set(&directoryv1.BackPressure{DiskSizeMedium: 1 << 60, DiskSizeHigh: 1 << 60})
	eventually("with too little room", answers("452 4.3.1"))
	status, err := nodev1.NewNodeServiceClient(c.api("berlin-1")).Status(t.Context(), &nodev1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, p := range status.GetPressure() {
		levels[p.GetResource()] = p.GetLevel()
	}
	if len(levels) != 4 || levels["disk"] != "high" || status.GetBackPressure() != "high" {
		t.Errorf("status %s, %v", status.GetBackPressure(), levels)
	}
	// Mail of another node waits there.
	l := newLetter("alice@example.test", "bruno@example.test", "pressed")
	c.mustSend("paris-1", l)
	set(nil)
	c.awaitCopy("berlin-1", "bruno@example.test", l)
	eventually("with room again", answers("250"))
}
