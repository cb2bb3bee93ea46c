package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// Parts stop in the opposite order of their start, each fully before the next.
func TestPartsStopInOppositeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(zap.NewNop())
		var order []string
		p.add("spool", func() { order = append(order, "spool") })
		for _, name := range []string{"queues", "smtp"} {
			p.run(name, func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, name)
				return ctx.Err() // being told to stop is no failure
			})
		}
		synctest.Wait()
		p.stopAll()
		if want := []string{"smtp", "queues", "spool"}; !slices.Equal(order, want) {
			t.Errorf("stopped %v, want %v", order, want)
		}
		p.stopAll()
		if len(order) != 3 {
			t.Errorf("a second stop stopped again: %v", order)
		}
		select {
		case err := <-p.failed:
			t.Errorf("failure %v", err)
		default:
		}
	})
}

// The first part that fails by itself ends the node; what follows from it is
// not the cause.
func TestFirstFailureCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(zap.NewNop())
		p.run("admin API", func(context.Context) error { return errors.New("listener closed") })
		synctest.Wait()
		p.run("metrics", func(context.Context) error { return errors.New("also") })
		synctest.Wait()
		if err := <-p.failed; !strings.HasPrefix(err.Error(), "admin API: listener closed") {
			t.Errorf("failure %v, want the admin API's", err)
		}
		p.stopAll()
	})
}

// A part that fails while the node boots ends the boot; one that hangs, or a boot that
// does, is left behind.
func TestNothingHoldsUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, freed := make(chan struct{}), errors.New("the disk is dead")
		waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		p := newParts(zap.NewNop())
		p.run("spool", func(context.Context) error { return freed })
		if up, err := p.boot(t.Context(), time.Second, waits); up || !errors.Is(err, freed) {
			t.Errorf("boot: %v, %v", up, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if up, err := p.boot(ctx, time.Second, waits); up || err != nil {
			t.Errorf("told to stop: %v, %v", up, err)
		}
		if up, err := p.boot(ctx, time.Second, func(context.Context) error { <-hangs; return nil }); up || err == nil || !strings.HasPrefix(err.Error(), "boot did not stop within 1s") {
			t.Errorf("a boot that hangs: %v, %v", up, err)
		}
		p.add("queues", func() { <-hangs })
		p.add("smtp", func() {})
		if err := p.stopWithin(time.Minute); err == nil || !strings.HasPrefix(err.Error(), "queues did not stop within 1m0s") {
			t.Errorf("stopped: %v", err)
		}
		close(hangs)
		synctest.Wait()
		if err := p.stopWithin(time.Minute); err != nil {
			t.Error(err)
		}
	})
}
