package pipeline

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"io"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/badmail"
	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// reporter turns outcomes into reports. A report enters by the front door: it is
// submitted like any message, in the same instant in which the outcomes that it
// tells of are settled.
type reporter struct {
	submit   *submit.Submitter
	config   func() *directory.Configuration
	hostname string
	server   string // name of this node's Server object
	badmail  string // folder where the configuration names none
	counts   string // file that keeps those of bound over a restart
	bound    dsn.Bound
	metrics  *reportMetrics
	log      *zap.Logger
}

// Report implements queue.Reporter.
func (r *reporter) Report(kind queue.ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) ([]spool.Incoming, error) {
	var all []spool.Incoming
	lost := kind == queue.ReportFailure && env.From.IsZero()
	for kind, list := range byKind(kind, targets, outcomes) {
		in, suppressed, err := r.one(kind, env, list, content)
		if err != nil {
			discard(all)
			return nil, err
		}
		all, lost = append(all, in...), lost || suppressed && kind == dsn.Failure
	}
	if lost {
		if err := r.keep(env, targets, outcomes, content); err != nil {
			discard(all)
			return nil, err
		}
	}
	return all, nil
}

func discard(list []spool.Incoming) {
	for _, i := range list {
		i.Body.Discard()
	}
}

// keep puts a message that can be neither delivered nor returned where a person
// can look at it. An error keeps it in its queue.
func (r *reporter) keep(env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) error {
	rd, err := content.Open()
	if err != nil {
		return err
	}
	defer rd.Close()
	copied := *env
	copied.Recipients = nil
	var why []string
	for i, t := range targets {
		copied.Recipients = append(copied.Recipients, mail.Recipient{Address: t.Address})
		why = append(why, t.Address.String()+": "+outcomes[i].Status.String()+" "+outcomes[i].Text)
	}
	folder := cmp.Or(r.config().Undeliverable(r.server, directory.GUID(env.VirtualServer)).BadmailDirectory, r.badmail)
	if err := badmail.Keep(folder, &copied, strings.Join(why, "; "), rd, time.Now()); err != nil {
		return err
	}
	r.metrics.kept.Inc()
	r.log.Warn("message_kept_as_badmail", zap.Stringer("id", env.ID), zap.Stringer("sender", env.From), zap.String("folder", folder), zap.Strings("why", why))
	return nil
}

// byKind sorts recipients into reports: a success at a host that does not report
// is "relayed" (RFC 3461 section 5.2.2), and so is one that is traced (RFC 2852).
func byKind(kind queue.ReportKind, targets []mail.Target, outcomes []mail.Outcome) map[dsn.Kind][]dsn.Recipient {
	all := make(map[dsn.Kind][]dsn.Recipient)
	for i, t := range targets {
		k := dsn.Failure
		switch {
		case kind == queue.ReportExpanded:
			k = dsn.Expanded
		case kind == queue.ReportDelay:
			k = dsn.Delay
		case kind == queue.ReportSuccess && (outcomes[i].Relayed || outcomes[i].Traced):
			k = dsn.Relayed
		case kind == queue.ReportSuccess:
			k = dsn.Success
		}
		all[k] = append(all[k], dsn.Recipient{Target: t, Outcome: outcomes[i]})
	}
	return all
}

// one makes one report. It is suppressed if it was due, and a bound was reached.
func (r *reporter) one(kind dsn.Kind, env *mail.Envelope, list []dsn.Recipient, content mail.Content) (all []spool.Incoming, suppressed bool, err error) {
	original, complete, err := head(content)
	if err != nil {
		return nil, false, err
	}
	conf, now := r.config(), time.Now()
	postmaster, _ := categorize.Postmaster(conf)
	if kind == dsn.Failure && env.From.IsZero() {
		list = notices(env, list, postmaster)
	}
	in := dsn.Input{
		Kind: kind, Envelope: env, Recipients: list,
		ReportingMTA: r.hostname, Organization: conf.Organization().Name,
		ID: newID(now), Now: now, Original: original, Complete: complete, Postmaster: postmaster,
	}
	if kind == dsn.Delay {
		in.Until = list[0].Outcome.Until
	}
	text, report, ok := dsn.Report(in)
	if !ok {
		return nil, false, nil
	}
	if kind != dsn.Failure && kind != dsn.Delay && conf.FormatFor(report.Recipients[0].Address.Domain).Spec.GetNoDeliveryReports() {
		return nil, false, nil
	}
	report.VirtualServer = env.VirtualServer // whose settings hold for it, too
	if r.suppressed(kind, env, report.Recipients[0].Address) {
		return nil, true, nil
	}
	second := report
	incoming, err := r.submit.Prepare(&mail.Submission{Envelope: &report, By: r.hostname}, bytes.NewReader(text))
	if err != nil {
		return nil, false, err
	}
	if kind != dsn.Failure {
		return []spool.Incoming{incoming}, false, nil
	}
	copies, err := r.copy(conf, second, text)
	if err != nil {
		incoming.Body.Discard()
		return nil, false, err
	}
	return append([]spool.Incoming{incoming}, copies...), false, nil
}

// copy is the report once more for whoever wants to see all (the book, chapter
// 5, "Send copy of Non-Delivery Reports to").
func (r *reporter) copy(conf *directory.Configuration, report mail.Envelope, text []byte) ([]spool.Incoming, error) {
	to, err := mail.ParseAddress(conf.Undeliverable(r.server, directory.GUID(report.VirtualServer)).NDRCopyTo)
	if err != nil || slices.ContainsFunc(report.Recipients, func(t mail.Recipient) bool { return t.Address.Key() == to.Key() }) {
		return nil, nil
	}
	report.ID, report.Origin = mail.ID{}, mail.ID{}
	report.Visited = nil
	report.Recipients = []mail.Recipient{{Address: to, Notify: mail.NotifyNever}}
	in, err := r.submit.Prepare(&mail.Submission{Envelope: &report, By: r.hostname}, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return []spool.Incoming{in}, nil
}

// head reads as much of the original as a report may return.
func head(content mail.Content) (b []byte, complete bool, err error) {
	rd, err := content.Open()
	if err != nil {
		return nil, false, err
	}
	defer rd.Close()
	b, err = io.ReadAll(io.LimitReader(rd, dsn.MaxReturn+1))
	if err != nil {
		return nil, false, err
	}
	return b, len(b) <= dsn.MaxReturn, nil
}

func newID(now time.Time) mail.ID {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return mail.NewID(now, b)
}
