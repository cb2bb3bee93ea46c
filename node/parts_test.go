package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/postroad/postroad/store/spool"
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
		var ports atomic.Int32
		p.add("queues", func() { <-hangs })
		p.add("smtp", func() {})
		p.port(func() { ports.Add(1) })
		p.port(func() { ports.Add(1); <-hangs })
		if err := p.await(time.Minute, p.stopAll); err == nil || !strings.HasPrefix(err.Error(), "queues did not stop within 1m0s") {
			t.Errorf("stopped: %v", err)
		}
		if ports.Load() != 2 {
			t.Error("its ports are open still")
		}
		close(hangs)
		synctest.Wait()
		if err := p.await(time.Minute, p.stopAll); err != nil {
			t.Error(err)
		}
	})
}

// hungLog is a file on a disk that does not answer.
type hungLog struct{ until chan struct{} }

func (l hungLog) Write(b []byte) (int, error) { <-l.until; return len(b), nil }
func (l hungLog) Sync() error                 { <-l.until; return nil }

// A node whose log hangs ends all the same, and says why.
func TestHungLogDoesNotHoldUpTheEnd(t *testing.T) {
	for _, cause := range []error{spool.ErrFailed, errors.New("a port"), nil} {
		synctest.Test(t, func(t *testing.T) {
			file := hungLog{make(chan struct{})}
			log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(file), zap.InfoLevel))
			n := &Node{deps: Deps{Manager: nobody{}}, log: log, flushLog: file.Sync}
			limit := stopLimit
			if cause == spool.ErrFailed {
				limit = failedLimit
			}
			begin := time.Now()
			err := n.end(newParts(log), cause)
			if took := time.Since(begin); took != limit+lastLimit {
				t.Errorf("%v: it took %v", cause, took)
			}
			if late := (*overdueError)(nil); cause != nil && !errors.Is(err, cause) || !errors.As(err, &late) || late.part != "log" {
				t.Errorf("%v: ended with %v", cause, err)
			}
			close(file.until)
		})
	}
}
