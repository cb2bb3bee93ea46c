package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/store/spool"
)

// An order for a message that turns out to be damaged when it is carried out is refused,
// and its giver waits no longer: rules would never be looked at again.
func TestOrderForADamagedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		g.store.mu.Lock()
		g.store.fail = func(call string) error {
			if call == "settle" {
				return spool.ErrCorrupt
			}
			return nil
		}
		g.store.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		tally, err := g.Act(ctx, Selection{}, byHand, false)
		if took := time.Since(began); err != nil || took > time.Minute || tally.Messages != 0 || len(tally.Refused) != 1 {
			t.Errorf("after %s: %+v, %v", took, tally, err)
		}
		if len(g.store.Aside()) != 1 {
			t.Error("it is not set aside")
		}
		g.stop()
	})
}
