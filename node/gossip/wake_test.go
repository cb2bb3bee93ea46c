package gossip

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/postroad/postroad/linkstate"
)

// A node that stood still says so: its operator sees others call it dead.
func TestStandingStillIsLogged(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	now := time.Unix(1_800_000_000, 0)
	c := testConfig()
	c.Logger, c.Now = zap.New(core), func() time.Time { return now }
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := members()
	m.Self = linkstate.GUID(serverA)
	r.SetMembers(m, linkstate.Timings{}, nil)
	for _, pause := range []time.Duration{0, time.Second, time.Second, time.Minute, time.Second} {
		now = now.Add(pause)
		r.step((*linkstate.Machine).Tick)
	}
	all := logged.FilterMessage("node_stood_still").All()
	if len(all) != 1 || all[0].ContextMap()["for"] != time.Minute {
		t.Errorf("logged %v", logged.All())
	}
}
