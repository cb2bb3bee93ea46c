package deliver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// A node that accepts the connection and says nothing is left sooner than a
// host outside: there is another way.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{script: func(verb, _ string) string { return "hang" }}
		hop := mail.Hop{Kind: mail.HopNode, Name: "paris-2", Server: mail.GUID{2}, Hosts: []string{"192.0.2.1:25"}}
		start := time.Now()
		e := connectError(t, serve(t, hop, newFeed(t), f.serve))
		if took := time.Since(start); took != nodeTimeouts.Greeting {
			t.Errorf("gave up after %v", took)
		}
		if !e.Temporary {
			t.Errorf("not temporary: %v", e)
		}
	})
}

// Whoever breaks a connection says why, and what was in flight waits without
// blame.
func TestGivenUp(t *testing.T) {
	for _, verb := range []string{"CONNECT", "EHLO", "BDAT"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{ext: []string{"PIPELINING", "CHUNKING"}, script: func(v, _ string) string {
					if v == verb {
						return "hang"
					}
					return ""
				}}
				d := &pipeDialer{server: f.serve}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(errors.New("paris-2 is down")) })
				feed := newFeed(t, many(2)...)
				start := time.Now()
				err := New(Options{Hostname: "me.example", Dialer: d}).Serve(ctx, smartHost(), feed)
				d.wg.Wait()
				if err == nil || time.Since(start) != time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				for to, got := range feed.check() {
					if got != "deferred 4.4.1" {
						t.Errorf("%s: %s", to, got)
					}
				}
				if verb == "BDAT" && !strings.Contains(err.Error(), "paris-2 is down") {
					t.Errorf("the error does not say why: %v", err)
				}
			})
		})
	}
}

// slowFeed takes its time to note an outcome.
type slowFeed struct{ *listFeed }

func (f slowFeed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	time.Sleep(time.Second)
	f.listFeed.Done(t, outcomes)
}

// Serve returns when everything is reported, also when it was whoever broke the
// connection whose goroutine reports: what is not reported by then counts as lost by
// the agent, and its message is blamed.
func TestGivenUpIsReportedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ext: []string{"PIPELINING", "CHUNKING"}, script: func(verb, _ string) string {
			if verb == "BDAT" {
				return "hang"
			}
			return ""
		}}
		d := &pipeDialer{server: f.serve}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("paris-2 is down")) })
		feed := slowFeed{newFeed(t, many(3)...)}
		_ = New(Options{Hostname: "me.example", Dialer: d}).Serve(ctx, smartHost(), feed)
		if got := feed.check(); len(got) == 0 {
			t.Error("nothing was in flight")
		}
		time.Sleep(time.Minute) // the goroutine, if there is one, ends within the test
		d.wg.Wait()
	})
}
