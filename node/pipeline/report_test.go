package pipeline

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/spool"
)

func target(t *testing.T, address string) mail.Target {
	t.Helper()
	a, err := mail.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	return mail.Target{Address: a, Notify: mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay}
}

func TestByKind(t *testing.T) {
	targets := []mail.Target{target(t, "a@example.test"), target(t, "b@example.test")}
	for name, tc := range map[string]struct {
		kind    queue.ReportKind
		relayed bool // of the second
		want    map[dsn.Kind]int
	}{
		"failure":             {queue.ReportFailure, false, map[dsn.Kind]int{dsn.Failure: 2}},
		"delay":               {queue.ReportDelay, false, map[dsn.Kind]int{dsn.Delay: 2}},
		"success":             {queue.ReportSuccess, false, map[dsn.Kind]int{dsn.Success: 2}},
		"one relayed":         {queue.ReportSuccess, true, map[dsn.Kind]int{dsn.Success: 1, dsn.Relayed: 1}},
		"a failure stays one": {queue.ReportFailure, true, map[dsn.Kind]int{dsn.Failure: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			got := byKind(tc.kind, targets, []mail.Outcome{{}, {Relayed: tc.relayed}})
			if len(got) != len(tc.want) {
				t.Errorf("kinds %v, want %v", got, tc.want)
			}
			for k, n := range tc.want {
				if len(got[k]) != n {
					t.Errorf("%v: %d recipients, want %d", k, len(got[k]), n)
				}
			}
		})
	}
}

// Of a large original only what a report may return is read.
func TestHead(t *testing.T) {
	for size, complete := range map[int]bool{0: true, 1: true, dsn.MaxReturn: true, dsn.MaxReturn + 1: false, 4 * dsn.MaxReturn: false} {
		b, whole, err := head(content(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		if whole != complete || len(b) != min(size, dsn.MaxReturn+1) {
			t.Errorf("%d octets: read %d, complete %v; want %v", size, len(b), whole, complete)
		}
	}
}

func newReporter(p *Pipeline) *reporter {
	return &reporter{
		submit: p.submit, config: p.cfg.Catalog.Config, hostname: "paris-1.example.test",
		clock: func() queue.Clock { return queue.Clock{Expiration: 2 * time.Hour} },
	}
}

func TestReport(t *testing.T) {
	p := newPipeline(t)
	from := target(t, "alice@example.test").Address
	env := &mail.Envelope{From: from, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	targets := []mail.Target{target(t, "a@example.net"), target(t, "b@example.net")}
	outcomes := []mail.Outcome{{Result: mail.Delivered, Status: mail.StatusDelivered}, {Result: mail.Delivered, Status: mail.StatusOK, Relayed: true}}
	original := content("Subject: Plans\r\n\r\nHello\r\n")
	for name, tc := range map[string]struct {
		kind queue.ReportKind
		env  *mail.Envelope
		want []string // what each report says, in any order
		to   string
	}{
		"failure":                {queue.ReportFailure, env, []string{"Action: failed"}, "alice@example.test"},
		"delay, with its end":    {queue.ReportDelay, env, []string{"Will-Retry-Until: Sun, 01 Mar 2026 14:00:00"}, "alice@example.test"},
		"success and relayed":    {queue.ReportSuccess, env, []string{"Action: delivered", "Action: relayed"}, "alice@example.test"},
		"no success to nobody":   {queue.ReportSuccess, &mail.Envelope{}, nil, ""},
		"a lost report's notice": {queue.ReportFailure, &mail.Envelope{}, []string{"Action: failed"}, "alice@example.test"}, // the demo's postmaster
	} {
		t.Run(name, func(t *testing.T) {
			all, err := newReporter(p).Report(tc.kind, tc.env, targets, outcomes, original)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != len(tc.want) {
				t.Fatalf("%d reports, want %d", len(all), len(tc.want))
			}
			if len(all) > 0 {
				closed(t, p.cfg.Spool.Accept(all...))
			}
			text := ""
			for _, in := range all {
				e, err := codec.DecodeEnvelope(in.Envelope)
				if err != nil {
					t.Fatal(err)
				}
				if !e.From.IsZero() || !e.System || len(e.Recipients) != 1 || e.Recipients[0].Address.String() != tc.to {
					t.Errorf("the report's envelope is %+v", e)
				}
				text += stored(t, p.cfg.Spool, in.ID)
			}
			for _, w := range tc.want {
				if strings.Count(text, w) == 0 {
					t.Errorf("no report says %q:\n%s", w, text)
				}
			}
		})
	}
}

func stored(t *testing.T, s *spool.Spool, id spool.ID) string {
	t.Helper()
	r, err := s.OpenBody(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An original that cannot be read makes no half report.
func TestReportWithoutOriginal(t *testing.T) {
	p := newPipeline(t)
	env := &mail.Envelope{From: target(t, "alice@example.test").Address}
	_, err := newReporter(p).Report(queue.ReportFailure, env, []mail.Target{target(t, "a@example.net")}, []mail.Outcome{{}}, unreadable{})
	if !errors.Is(err, errUnreadable) {
		t.Errorf("error %v, want the disk's", err)
	}
}

var errUnreadable = errors.New("disk on fire")

type unreadable struct{}

func (unreadable) Open() (io.ReadCloser, error) { return nil, errUnreadable }
func (unreadable) Size() int64                  { return 1 }
