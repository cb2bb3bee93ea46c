package deliver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// quietFeed is the queue's when no more mail comes: it waits as long as it is asked to.
type quietFeed struct {
	*listFeed
	began time.Time
	at    map[string]time.Duration // when each recipient was reported
	waits int
}

func newQuietFeed(t testing.TB, list ...*mail.Transaction) *quietFeed {
	return &quietFeed{listFeed: newFeed(t, list...), began: time.Now(), at: map[string]time.Duration{}}
}

func (f *quietFeed) Wait(d time.Duration) bool {
	f.waits++
	time.Sleep(d)
	return false
}

func (f *quietFeed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	f.listFeed.Done(t, outcomes)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, to := range t.Targets {
		f.at[to.Address.String()] = time.Since(f.began)
	}
}

// earnest says 2.1.5 to messages, and takes them. how is the script of the rest.
func earnest(how func(verb string) string) *fake {
	return &fake{ext: []string{"PIPELINING", "CHUNKING"}, script: func(verb, _ string) string {
		if s := how(verb); s != "" {
			return s
		}
		if verb == "BDAT" || verb == "DOT" {
			return "250 2.1.5 taken"
		}
		return ""
	}}
}

// The answer to QUIT, which ends doubts, is asked for though nothing else is to be sent,
// and waited for as long as mail depends on it.
func TestDoubtsDoNotWaitForMail(t *testing.T) {
	for name, c := range map[string]struct {
		answer, quit time.Duration // what they take
		by           time.Duration // when it is reported
	}{
		"at once":               {0, 0, restless},
		"slow to take the mail": {3 * time.Second, 0, 4 * time.Second},
		"slow to say goodbye":   {0, time.Minute, time.Minute + restless},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := earnest(func(verb string) string {
					switch verb {
					case "BDAT":
						time.Sleep(c.answer)
					case "QUIT":
						time.Sleep(c.quit)
					}
					return ""
				})
				d := &pipeDialer{server: f.serve}
				feed := newQuietFeed(t, many(1)...)
				err := New(Options{Hostname: "me.example", Dialer: d}).Serve(t.Context(), smartHost(), feed)
				d.wg.Wait()
				feed.expect(map[string]string{"u0@x.example": "delivered 2.1.5"})
				if at := feed.at["u0@x.example"]; err != nil || at > c.by {
					t.Errorf("reported after %v, %v", at, err)
				}
			})
		})
	}
}

// Where the connection ends without 221, nobody can tell whether the mail was taken. It is
// sent once more, step by step, so that the answer is to what was asked; not at each retry.
func TestDoubtsThatStayAreEndedByTheNextAttempt(t *testing.T) {
	for name, how := range map[string]func(verb string) string{
		"closes after the answer": func(verb string) string {
			if verb == "BDAT" {
				return "250 2.1.5 taken\r\n421 4.4.2 enough"
			}
			return ""
		},
		"421 to QUIT": func(verb string) string {
			if verb == "QUIT" {
				return "421 4.4.2 bye"
			}
			return ""
		},
		"closes at QUIT": func(verb string) string {
			if verb == "QUIT" {
				return "drop"
			}
			return ""
		},
		"silent at QUIT": func(verb string) string {
			if verb == "QUIT" {
				return "hang"
			}
			return ""
		},
	} {
		for _, binary := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/binary=%v", name, binary), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := earnest(how)
					f.ext = append(f.ext, "BINARYMIME", "8BITMIME")
					d := &pipeDialer{server: f.serve}
					a := New(Options{Hostname: "me.example", Dialer: d})
					want := "deferred"
					for range 2 {
						f.lines = nil
						m := many(1)
						if binary {
							m[0].Envelope.Body = mail.BodyBinaryMIME
						}
						feed := newQuietFeed(t, m...)
						err := a.Serve(t.Context(), smartHost(), feed)
						d.wg.Wait()
						if text := feed.got["u0@x.example"].Text; want == "deferred" && !strings.HasPrefix(text, unclear) {
							t.Errorf("the doubt is not told: %s", text)
						}
						if got := feed.check()["u0@x.example"]; !strings.HasPrefix(got, want) {
							t.Fatalf("%s, want %s; %v", got, want, err)
						}
						want = "delivered 2.1.5"
						<-time.After(time.Hour)
					}
					if f.taken["u0@x.example"] != 2 {
						t.Errorf("taken %v", f.taken)
					}
					if by := slices.IndexFunc(f.lines, func(l string) bool { return strings.HasPrefix(l, "BDAT") }); (by >= 0) != binary {
						t.Errorf("the second time by %q", f.lines)
					}
				})
			})
		}
	}
}

// What a host takes no more over one connection goes over another, though no mail comes that
// would wake the first.
func TestCarriedMailDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections, mails := 0, 0
		f := &fake{ext: []string{"PIPELINING", "CHUNKING"}}
		f.script = func(verb, _ string) string {
			switch verb {
			case "CONNECT":
				connections++
			case "MAIL":
				if mails++; mails == 2 {
					time.Sleep(3 * time.Second)
					return "421 4.7.0 enough for now"
				}
			}
			return ""
		}
		d := &pipeDialer{server: f.serve}
		feed := newQuietFeed(t, many(2)...)
		if err := New(Options{Hostname: "me.example", Dialer: d}).Serve(t.Context(), smartHost(), feed); err != nil {
			t.Error(err)
		}
		d.wg.Wait()
		feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0", "u1@x.example": "delivered 2.0.0"})
		if at := feed.at["u1@x.example"]; at > 4*time.Second || connections != 2 {
			t.Errorf("reported after %v, over %d connections", at, connections)
		}
	})
}

// The short waits are those for answers; a connection that has them all rests in one, and
// no longer than it may.
func TestRestIsLong(t *testing.T) {
	for _, answer := range []time.Duration{0, time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{ext: []string{"PIPELINING", "CHUNKING"}, script: func(verb, _ string) string {
				if verb == "BDAT" {
					time.Sleep(answer)
				}
				return ""
			}}
			d := &pipeDialer{server: f.serve}
			feed := newQuietFeed(t, many(1)...)
			if err := New(Options{Hostname: "me.example", Dialer: d}).Serve(t.Context(), smartHost(), feed); err != nil {
				t.Error(err)
			}
			d.wg.Wait()
			if took := time.Since(feed.began); took != max(answer, outsideTimeouts.Idle) || feed.waits > 40 || answer == 0 && feed.waits > 2 {
				t.Errorf("an answer after %v: left after %v, %d waits", answer, took, feed.waits)
			}
		})
	}
}
