package queue

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Reports about mail that was never tried say what it waited for: not that a host does
// not answer, not when it was last tried, and nothing of what an administrator noted.
func TestReportsOfTheUntried(t *testing.T) {
	over := func(o mail.HopOptions) mail.Hop {
		return mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Connector: mail.GUID{7}, ConnectorName: "out", Hosts: []string{"relay:25"}, Reason: "chosen by cost", Options: o}
	}
	for name, c := range map[string]struct {
		hop           mail.Hop
		busy, frozen  bool
		delay, failed string // statuses
		words, lacks  string
	}{
		"a shut schedule": {
			hop:   over(mail.HopOptions{Timetable: timetable(func(int) bool { return false })}),
			delay: "4.3.2", failed: "4.3.2", words: "schedule night of connector out is never open", lacks: "queue retry",
		},
		"nobody asked": {
			hop:   over(mail.HopOptions{Remote: true}),
			delay: "4.3.2", failed: "4.3.2", words: "the other side has not asked for its mail", lacks: "queue retry",
		},
		"a frozen queue": {
			hop: over(mail.HopOptions{Remote: true}), frozen: true,
			delay: "4.3.2", failed: "4.3.2", words: "stopped by an administrator", lacks: "4711",
		},
		"no path": {
			hop:   mail.Hop{Kind: mail.HopUnreachable, Status: mail.Status{Class: 4, Subject: 4, Detail: 4}, Reason: "connector out is down"},
			delay: "4.4.4", failed: "4.4.4", words: "connector out is down",
		},
		"no connection": {
			hop: over(mail.HopOptions{}), busy: true,
			delay: "4.4.5", failed: "4.4.7", words: "all 1 are in use", lacks: "chosen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.router.set("SMTP:x", c.hop)
				release := make(chan struct{})
				g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
					if h.Domain == "busy" {
						<-release
					}
					return delivered
				}
				g.start(func(cfg *Config) {
					cfg.Clock.Stuck = 100 * time.Hour
					if c.busy {
						cfg.Limits.Connections = 1
					}
				})
				if c.busy {
					g.send(2, "z@busy")
					synctest.Wait()
				}
				g.send(1, "b@x")
				synctest.Wait()
				if c.frozen {
					_, queue := g.idOf(t, "x")
					if _, err := g.FreezeQueues([]string{queue}, NoteOf("ada", "case 4711", time.Now())); err != nil {
						t.Fatal(err)
					}
				}
				pass(testClock.Expiration + time.Minute)
				synctest.Wait()
				for report, status := range map[string]string{"delay b@x": c.delay, "failure b@x": c.failed} {
					o, ok := g.reporter.outcome(report)
					if !ok || o.Status.String() != status || !strings.Contains(o.Text, c.words) || !o.At.IsZero() {
						t.Errorf("%s: %v, %s %q at %v, want %s %q at no time", report, ok, o.Status, o.Text, o.At, status, c.words)
					}
					if c.lacks != "" && strings.Contains(o.Text, c.lacks) {
						t.Errorf("%s says too much: %q", report, o.Text)
					}
				}
				close(release)
				g.stop()
			})
		})
	}
}

// What waits behind a host that does not answer was last tried when that host was.
func TestLastAttemptIsOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		pass(testClock.Expiration + time.Minute)
		synctest.Wait()
		for _, report := range []string{"delay b@x", "failure b@x"} {
			o, ok := g.reporter.outcome(report)
			if !ok || o.At.IsZero() || !g.agent.dialledAt(o.At) {
				t.Errorf("%s: %v, %+v; dials at %v", report, ok, o, g.agent.at)
			}
		}
		g.stop()
	})
}
