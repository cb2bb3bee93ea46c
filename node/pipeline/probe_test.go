package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
