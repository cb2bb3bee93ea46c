package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// desk is an inquiry desk whose probes take a second and answer as the test says.
type desk struct {
	inquiries
	answer  error
	probes  int
	reports []string
}

func newDesk() *desk {
	d := &desk{}
	d.probe = func(ctx context.Context, _ mail.GUID) error {
		d.probes++
		select {
		case <-time.After(time.Second):
			return d.answer
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.report = func(_ mail.GUID, ok bool, reason string) { d.reports = append(d.reports, fmt.Sprint(ok, " ", reason)) }
	return d
}

func TestLinkResult(t *testing.T) {
	for name, tc := range map[string]struct {
		ok, several bool
		answer      error
		probes      int
		want        string
	}{
		"a connection that worked":           {true, true, nil, 0, "true said"},
		"the only host did not answer":       {false, false, nil, 0, "false said"},
		"one did not answer, another did":    {false, true, nil, 1, "true said"},
		"one did not answer, nor the others": {false, true, errors.New("dead"), 1, "false said"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.answer = tc.answer
				d.result(t.Context(), mail.GUID{1}, tc.ok, tc.several, "said")
				d.wg.Wait()
				if d.probes != tc.probes || !slices.Equal(d.reports, []string{tc.want}) {
					t.Errorf("%d probes, reports %q; want %d, %q", d.probes, d.reports, tc.probes, tc.want)
				}
			})
		})
	}
}

// A hundred connections that fail at once ask once; the next failure after the
// answer asks again.
func TestLinkResultAsksOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		for range 2 {
			for range 100 {
				d.result(t.Context(), mail.GUID{1}, false, true, "said")
			}
			d.wg.Wait()
		}
		if d.probes != 2 || len(d.reports) != 2 {
			t.Errorf("%d probes, %d reports; want 2 each", d.probes, len(d.reports))
		}
	})
}

// A connection that works while it is asked says more than what was asked before.
func TestLinkResultMeetsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.answer = errors.New("dead")
		d.result(t.Context(), mail.GUID{1}, false, true, "said")
		time.Sleep(time.Second / 2)
		d.result(t.Context(), mail.GUID{1}, true, true, "said")
		d.wg.Wait()
		if !slices.Equal(d.reports, []string{"true said"}) {
			t.Errorf("reports %q: the link is down", d.reports)
		}
		d.result(t.Context(), mail.GUID{1}, false, true, "said")
		time.Sleep(time.Second / 2)
		d.result(t.Context(), mail.GUID{1}, true, true, "said")
		d.result(t.Context(), mail.GUID{1}, false, true, "said")
		d.wg.Wait()
		if !slices.Equal(d.reports, []string{"true said", "true said", "false said"}) {
			t.Errorf("reports %q: what failed since counts", d.reports)
		}
	})
}

// A node that stops says nothing about its links any more.
func TestLinkResultEndsWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		ctx, cancel := context.WithCancel(t.Context())
		d.result(ctx, mail.GUID{1}, false, true, "said")
		synctest.Wait()
		start := time.Now()
		cancel()
		d.wg.Wait()
		if took := time.Since(start); took != 0 || len(d.reports) != 0 {
			t.Errorf("it took %v and reported %q", took, d.reports)
		}
	})
}

// One answer is enough, and a host that is silent does not keep the others from
// giving it.
func TestAnyAnswer(t *testing.T) {
	const limit = 10 * time.Second
	type host struct {
		after time.Duration // of its answer; 0: never
		ok    bool
	}
	live, refuses, silent := host{50 * time.Millisecond, true}, host{10 * time.Millisecond, false}, host{}
	for name, tc := range map[string]struct {
		hosts  []host
		took   time.Duration
		probed int
		want   string
	}{
		"nothing to ask":             {nil, 0, 0, ""},
		"the first answers":          {[]host{live, live}, 50 * time.Millisecond, 1, ""},
		"the first refuses":          {[]host{refuses, live}, 60 * time.Millisecond, 2, ""},
		"the first is silent":        {[]host{silent, live}, 1050 * time.Millisecond, 2, ""},
		"the last of many answers":   {[]host{silent, silent, silent, live}, 3050 * time.Millisecond, 4, ""},
		"slow, but the first":        {[]host{{1500 * time.Millisecond, true}, silent}, 1500 * time.Millisecond, 2, ""},
		"all refuse":                 {[]host{refuses, refuses}, 20 * time.Millisecond, 2, "h0: refused; h1: refused"},
		"the only one is silent":     {[]host{silent}, limit, 1, "h0: context deadline exceeded"},
		"silence and then a refusal": {[]host{silent, refuses}, limit, 2, "h0: context deadline exceeded; h1: refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				var hops []mail.Hop
				for i := range tc.hosts {
					hops = append(hops, mail.Hop{Kind: mail.HopNode, Name: fmt.Sprint("h", i), TableVersion: uint64(i)})
				}
				var probed atomic.Int32
				began := time.Now()
				err := anyAnswer(ctx, hops, func(ctx context.Context, h mail.Hop) error {
					probed.Add(1)
					answer := tc.hosts[h.TableVersion]
					if answer == silent {
						<-ctx.Done()
						return ctx.Err()
					}
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(answer.after):
					}
					if answer.ok {
						return nil
					}
					return errors.New("refused")
				})
				said := ""
				if err != nil {
					said = err.Error()
				}
				if took := time.Since(began); took != tc.took || int(probed.Load()) != tc.probed || said != tc.want {
					t.Errorf("after %v, %d probes: %q; want %v, %d, %q", took, probed.Load(), said, tc.took, tc.probed, tc.want)
				}
			})
		})
	}
}

func TestReasonAt(t *testing.T) {
	err := errors.New("[192.0.2.1]:25: connection refused")
	for want, h := range map[string]mail.Hop{
		"oslo-1: [192.0.2.1]:25: connection refused": {Kind: mail.HopNode, Name: "oslo-1"},
		"[192.0.2.1]:25: connection refused":         {Kind: mail.HopSmartHost, Name: "smart host [192.0.2.1]"},
	} {
		if got := reasonAt(h, err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
