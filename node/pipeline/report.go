package pipeline

import (
	"bytes"
	"crypto/rand"
	"io"
	"time"

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
	clock    func() queue.Clock
	hostname string
}

// Report implements queue.Reporter.
func (r *reporter) Report(kind queue.ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) ([]spool.Incoming, error) {
	var all []spool.Incoming
	for kind, list := range byKind(kind, targets, outcomes) {
		in, err := r.one(kind, env, list, content)
		if err != nil {
			for _, i := range all {
				i.Body.Discard()
			}
			return nil, err
		}
		all = append(all, in...)
	}
	return all, nil
}

// byKind sorts recipients into reports: a success at a host that does not report
// is "relayed" (RFC 3461 section 5.2.2).
func byKind(kind queue.ReportKind, targets []mail.Target, outcomes []mail.Outcome) map[dsn.Kind][]dsn.Recipient {
	all := make(map[dsn.Kind][]dsn.Recipient)
	for i, t := range targets {
		k := dsn.Failure
		switch {
		case kind == queue.ReportDelay:
			k = dsn.Delay
		case kind == queue.ReportSuccess && outcomes[i].Relayed:
			k = dsn.Relayed
		case kind == queue.ReportSuccess:
			k = dsn.Success
		}
		all[k] = append(all[k], dsn.Recipient{Target: t, Outcome: outcomes[i]})
	}
	return all
}

func (r *reporter) one(kind dsn.Kind, env *mail.Envelope, list []dsn.Recipient, content mail.Content) ([]spool.Incoming, error) {
	original, complete, err := head(content)
	if err != nil {
		return nil, err
	}
	conf, now := r.config(), time.Now()
	postmaster, _ := categorize.Postmaster(conf)
	in := dsn.Input{
		Kind: kind, Envelope: env, Recipients: list,
		ReportingMTA: r.hostname, Organization: conf.Organization().Name,
		ID: newID(now), Now: now, Original: original, Complete: complete, Postmaster: postmaster,
	}
	if kind == dsn.Delay {
		in.Until = env.Created.Add(r.clock().Expiration)
	}
	text, report, ok := dsn.Report(in)
	if !ok {
		return nil, nil
	}
	incoming, err := r.submit.Prepare(&mail.Submission{Envelope: &report, By: r.hostname}, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return []spool.Incoming{incoming}, nil
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
