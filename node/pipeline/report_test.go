package pipeline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/directory"
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
		"expanded":            {queue.ReportExpanded, false, map[dsn.Kind]int{dsn.Expanded: 2}},
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
		server: "paris-1", badmail: filepath.Join(p.cfg.Data, "badmail"),
		metrics: newReportMetrics(nil), log: zap.NewNop(),
	}
}

func TestReport(t *testing.T) {
	p := newPipeline(t)
	from := target(t, "alice@example.test").Address
	env := &mail.Envelope{From: from, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	targets := []mail.Target{target(t, "a@example.net"), target(t, "b@example.net")}
	outcomes := []mail.Outcome{{Result: mail.Delivered, Status: mail.StatusDelivered}, {Result: mail.Delivered, Status: mail.StatusOK, Relayed: true}}
	outcomes[0].Until = env.Created.Add(2 * time.Hour)
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

// configured is the reporter with a configuration of its own.
func (r *reporter) configured(t *testing.T, virtualServer string) *reporter {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader("kind: Organization\nname: x\nspec: {}\n---\nkind: VirtualServer\nname: v\nspec: {server: paris-1, "+virtualServer+"}\n"), "t")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range objs {
		o.Metadata.Guid = mail.GUID{15: byte(i + 1)}.String()
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	r.config = func() *directory.Configuration { return conf }
	return r
}

// Somebody gets a copy of each non-delivery report, and of no other; nobody gets two.
func TestCopyOfNonDeliveryReports(t *testing.T) {
	p := newPipeline(t)
	r := newReporter(p).configured(t, "ndrCopyTo: admin@example.test")
	targets, outcomes := []mail.Target{target(t, "a@example.net")}, []mail.Outcome{{Result: mail.Failed, Status: mail.StatusUnknownUser}}
	for name, c := range map[string]struct {
		kind queue.ReportKind
		from string
		want string
	}{
		"failure":         {queue.ReportFailure, "alice@example.test", "alice@example.test admin@example.test"},
		"delay":           {queue.ReportDelay, "alice@example.test", "alice@example.test"},
		"success":         {queue.ReportSuccess, "alice@example.test", "alice@example.test"},
		"the admin's own": {queue.ReportFailure, "Admin@example.test", "Admin@example.test"},
	} {
		all, err := r.Report(c.kind, &mail.Envelope{From: target(t, c.from).Address}, targets, outcomes, content("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		closed(t, p.cfg.Spool.Accept(all...))
		var to, texts []string
		for _, in := range all {
			e, err := codec.DecodeEnvelope(in.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if !e.From.IsZero() || e.Recipients[0].Notify != mail.NotifyNever {
				t.Errorf("%s: %+v", name, e)
			}
			to, texts = append(to, e.Recipients[0].Address.String()), append(texts, stored(t, p.cfg.Spool, in.ID))
		}
		if got := strings.Join(to, " "); got != c.want {
			t.Errorf("%s: reports to %s, want %s", name, got, c.want)
		}
		if len(texts) == 2 && !strings.Contains(texts[1], "Action: failed") {
			t.Errorf("%s: the copy is %s", name, texts[1])
		}
	}
}

// Each virtual server says what becomes of the mail that it took; the first by name that
// says something speaks for mail that none took.
func TestEachVirtualServerHasItsOwn(t *testing.T) {
	p := newPipeline(t)
	r := newReporter(p).configured(t, "greeting: hello}\n---\nkind: VirtualServer\nname: w\nspec: {server: paris-1, ndrCopyTo: w@example.test}\n---\nkind: VirtualServer\nname: x\nspec: {server: paris-1, ndrCopyTo: x@example.test")
	conf := r.config()
	for taker, want := range map[string]string{"v": "", "w": "w@example.test", "x": "x@example.test", "gone": "w@example.test"} {
		v, _ := conf.VirtualServer(taker)
		env := &mail.Envelope{From: target(t, "alice@example.test").Address, VirtualServer: mail.GUID(v.GUID)}
		all, err := r.Report(queue.ReportFailure, env, []mail.Target{target(t, "a@example.net")},
			[]mail.Outcome{{Result: mail.Failed, Status: mail.StatusUnknownUser}}, content("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		closed(t, p.cfg.Spool.Accept(all...))
		var to []string
		for _, in := range all {
			e, err := codec.DecodeEnvelope(in.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if e.VirtualServer != env.VirtualServer {
				t.Errorf("%s: a report of virtual server %s", taker, e.VirtualServer)
			}
			to = append(to, e.Recipients[0].Address.String())
		}
		if got := strings.Join(to, " "); got != strings.TrimSpace("alice@example.test "+want) {
			t.Errorf("%s: reports to %s", taker, got)
		}
	}
}

// A message format keeps what was delivered from those outside who ask.
func TestNoDeliveryReports(t *testing.T) {
	p := newPipeline(t)
	r := newReporter(p).configured(t, "greeting: hello}\n---\nkind: MessageFormat\nname: partner\nspec: {domain: '*.example.net', noDeliveryReports: true")
	for _, c := range []struct {
		kind queue.ReportKind
		from string
		want int
	}{
		{queue.ReportSuccess, "a@mail.example.net", 0},
		{queue.ReportExpanded, "a@mail.example.net", 0},
		{queue.ReportDelay, "a@mail.example.net", 1},
		{queue.ReportFailure, "a@mail.example.net", 1},
		{queue.ReportSuccess, "a@example.net", 1},
		{queue.ReportSuccess, "a@example.test", 1},
	} {
		to := target(t, "b@example.test")
		to.Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
		all, err := r.Report(c.kind, &mail.Envelope{From: target(t, c.from).Address}, []mail.Target{to}, []mail.Outcome{{}}, content("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		closed(t, p.cfg.Spool.Accept(all...))
		if len(all) != c.want {
			t.Errorf("%v to %s: %d reports", c.kind, c.from, len(all))
		}
	}
}

// What can be neither delivered nor returned ends in the badmail folder; while
// that cannot be written it stays in its queue.
func TestBadmail(t *testing.T) {
	p := newPipeline(t)
	folder := filepath.Join(t.TempDir(), "bad")
	undeliverable := target(t, "postmaster@example.net") // of whom nobody is told
	undeliverable.Notify = mail.NotifyNever
	report := &mail.Envelope{ID: mail.ID{1}, System: true}
	fail := []mail.Outcome{{Result: mail.Failed, Status: mail.StatusUnknownUser, Text: "no such user"}}
	for _, c := range []struct {
		r      *reporter
		folder string
	}{
		{newReporter(p), filepath.Join(p.cfg.Data, "badmail")},
		{newReporter(p).configured(t, "badmailDirectory: "+folder), folder},
	} {
		all, err := c.r.Report(queue.ReportFailure, report, []mail.Target{undeliverable}, fail, content("Subject: lost\r\n\r\nx"))
		if err != nil || len(all) != 0 {
			t.Fatalf("%v, %d reports", err, len(all))
		}
		text, err := os.ReadFile(filepath.Join(c.folder, report.ID.String()+".eml"))
		if err != nil || string(text) != "Subject: lost\r\n\r\nx" {
			t.Errorf("%q %v", text, err)
		}
		about, err := os.ReadFile(filepath.Join(c.folder, report.ID.String()+".json"))
		if err != nil || !strings.Contains(string(about), "postmaster@example.net: 5.1.1 no such user") {
			t.Errorf("%s %v", about, err)
		}
	}
	if _, err := newReporter(p).configured(t, "badmailDirectory: /dev/null/x").Report(queue.ReportFailure, report, []mail.Target{undeliverable}, fail, content("x")); err == nil {
		t.Error("a folder that cannot be written is no error")
	}
	// A delay or a success of a report is nothing to keep, nor is what its sender wanted to hear nothing of.
	for _, c := range []struct {
		kind queue.ReportKind
		env  *mail.Envelope
	}{{queue.ReportDelay, report}, {queue.ReportSuccess, report}, {queue.ReportFailure, &mail.Envelope{From: target(t, "alice@example.test").Address}}} {
		r := newReporter(p)
		r.badmail = filepath.Join(t.TempDir(), "none")
		if all, err := r.Report(c.kind, c.env, []mail.Target{undeliverable}, fail, content("x")); err != nil || len(all) != 0 {
			t.Errorf("%v, %d reports", err, len(all))
		}
		if _, err := os.Stat(r.badmail); err == nil {
			t.Errorf("%v was kept", c)
		}
	}
}

// A report that cannot be delivered is kept, and the postmaster is told; what was
// for the postmaster is only kept.
func TestDoubleFailure(t *testing.T) {
	p := newPipeline(t)
	fail := []mail.Outcome{{Result: mail.Failed, Status: mail.StatusUnknownUser, Text: "no such user"}}
	chief := "chief@example.test"
	for name, c := range map[string]struct {
		rcpt, original, target string
		want                   int
	}{
		"a report":                       {"alice@example.net", "", "alice@example.net", 1},
		"a notice":                       {chief, "", chief, 0},
		"a notice that was redirected":   {chief, "", "x@example.net", 0},
		"the same on a further node":     {"x@example.net", "rfc822;chief@example.test", "x@example.net", 0},
		"a notice behind a further node": {"x@example.net", "", "x@example.net", 1},
	} {
		r := newReporter(p).configured(t, "")
		objs, err := directory.DecodeYAML(strings.NewReader("kind: Organization\nname: x\nspec: {postmaster: "+chief+"}"), "t")
		if err != nil {
			t.Fatal(err)
		}
		objs[0].Metadata.Guid = mail.GUID{1}.String()
		conf, err := directory.NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		r.config, r.badmail = func() *directory.Configuration { return conf }, t.TempDir()
		to := target(t, c.target)
		to.Notify, to.Original = mail.NotifyNever, c.original
		env := &mail.Envelope{ID: mail.ID{1}, System: true, Recipients: []mail.Recipient{{Address: target(t, c.rcpt).Address}}}
		all, err := r.Report(queue.ReportFailure, env, []mail.Target{to}, fail, content("Subject: lost\r\n\r\nx"))
		if err != nil || len(all) != c.want {
			t.Fatalf("%s: %d notices, want %d: %v", name, len(all), c.want, err)
		}
		discard(all)
		if _, err := os.Stat(filepath.Join(r.badmail, env.ID.String()+".eml")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Beyond the bounds nothing is sent: what failed is kept, receipts and delay notices
// are left out; others still get theirs. The bounds are those of the moment.
func TestReportsAreBounded(t *testing.T) {
	p := newPipeline(t)
	r := newReporter(p).configured(t, "")
	limits := "{perSender: 2}"
	r.config = func() *directory.Configuration {
		objs, err := directory.DecodeYAML(strings.NewReader("kind: Organization\nname: x\nspec: {reports: "+limits+"}"), "t")
		if err != nil {
			t.Fatal(err)
		}
		objs[0].Metadata.Guid = mail.GUID{1}.String()
		conf, err := directory.NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	registry := prometheus.NewRegistry()
	r.badmail, r.metrics = t.TempDir(), newReportMetrics(registry)
	n := byte(0)
	report := func(kind queue.ReportKind, from, client string) int {
		t.Helper()
		n++
		env := &mail.Envelope{ID: mail.ID{n}, From: target(t, from).Address, ClientHost: client}
		all, err := r.Report(kind, env, []mail.Target{target(t, "x@example.net")}, []mail.Outcome{{Status: mail.StatusUnknownUser}}, content("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		discard(all)
		return len(all)
	}
	kept := func() int { list, _ := os.ReadDir(r.badmail); return len(list) / 2 }
	for i, c := range []struct {
		limits       string
		kind         queue.ReportKind
		from, client string
		want, kept   int
	}{
		{limits, queue.ReportFailure, "v@example.org", "192.0.2.1", 1, 0},
		{limits, queue.ReportFailure, "V@EXAMPLE.org", "192.0.2.2", 1, 0},
		{limits, queue.ReportFailure, "v@example.org", "192.0.2.3", 0, 1},
		{limits, queue.ReportDelay, "v@example.org", "192.0.2.3", 0, 1},
		{limits, queue.ReportFailure, "w@example.org", "192.0.2.3", 1, 1},
		{"{perSender: 9, perSource: 1}", queue.ReportFailure, "w@example.org", "192.0.2.3", 0, 2},
		{"{perSender: 9, perSource: 9, total: 2}", queue.ReportFailure, "y@example.org", "192.0.2.9", 0, 3},
		{"{}", queue.ReportFailure, "v@example.org", "192.0.2.3", 1, 3},
	} {
		limits = c.limits
		if got := report(c.kind, c.from, c.client); got != c.want || kept() != c.kept {
			t.Errorf("step %d: %d reports, %d kept; want %d and %d", i, got, kept(), c.want, c.kept)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got = append(got, fmt.Sprint(f.GetName(), labels, m.GetCounter().GetValue()))
		}
	}
	want := []string{"postroad_badmail_total[] 3", "postroad_reports_suppressed_total[sender delay] 1", "postroad_reports_suppressed_total[sender failure] 1",
		"postroad_reports_suppressed_total[source failure] 1", "postroad_reports_suppressed_total[total failure] 1", "postroad_reports_total[failure] 4"}
	if !slices.Equal(got, want) {
		t.Errorf("counted %q, want %q", got, want)
	}
}
