package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// Defaults of ReportLimits: more than people send by hand, less than hurts whose
// address was forged.
const (
	reportsPerSender = 200
	reportsPerSource = 2000
	reportsInAll     = 20000
)

func reportLimits(conf *directory.Configuration) dsn.Limits {
	l := conf.Organization().Spec.GetReports()
	return dsn.Limits{
		PerSender: cmp.Or(int(l.GetPerSender()), reportsPerSender),
		PerSource: cmp.Or(int(l.GetPerSource()), reportsPerSource),
		Total:     cmp.Or(int(l.GetTotal()), reportsInAll),
	}
}

// reportMetrics count by kind of report and, for those not sent, by the bound.
type reportMetrics struct {
	made       *prometheus.CounterVec
	suppressed *prometheus.CounterVec
	kept       prometheus.Counter
}

func newReportMetrics(r prometheus.Registerer) *reportMetrics {
	m := &reportMetrics{
		made:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postroad_reports_total", Help: "Reports made, by kind."}, []string{"kind"}),
		suppressed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postroad_reports_suppressed_total", Help: "Reports not made since a bound was reached."}, []string{"kind", "bound"}),
		kept:       prometheus.NewCounter(prometheus.CounterOpts{Name: "postroad_badmail_total", Help: "Messages put into the badmail folder."}),
	}
	if r != nil {
		r.MustRegister(m.made, m.suppressed, m.kept)
	}
	return m
}

// suppressed says whether a report to that address is one too many. It is counted
// either way.
func (r *reporter) suppressed(kind dsn.Kind, env *mail.Envelope, to mail.Address) bool {
	// A node hands over what its own client sent; it is no source.
	source := cmp.Or(env.Account, env.ClientHost)
	if !env.FromNode.IsZero() {
		source = env.Account
	}
	return r.over(kind.String(), env.ID, to, source)
}

func (r *reporter) over(kind string, id mail.ID, to mail.Address, source string) bool {
	over := r.bound.Take(time.Now(), reportLimits(r.config()), to.Key(), source)
	if over == "" {
		r.metrics.made.WithLabelValues(kind).Inc()
		return false
	}
	r.metrics.suppressed.WithLabelValues(kind, over).Inc()
	r.log.Warn("report_suppressed", zap.Stringer("id", id), zap.String("kind", kind), zap.String("bound", over),
		zap.Stringer("sender", to), zap.String("source", source))
	return true
}

// notices gives the targets whose loss the postmaster is to hear of: those of a
// message without a sender, such as a report that could not be delivered. Of what
// was on its way to the postmaster he hears nothing, or one notice would make the
// next.
func notices(env *mail.Envelope, list []dsn.Recipient, postmaster mail.Address) []dsn.Recipient {
	var lost []dsn.Recipient
	for _, rcpt := range list {
		if !leadsTo(env, rcpt.Target, postmaster) {
			rcpt.Target.Notify = 0 // what its sender, who is nobody, wanted to hear
			lost = append(lost, rcpt)
		}
	}
	return lost
}

func leadsTo(env *mail.Envelope, t mail.Target, a mail.Address) bool {
	addresses, originals := []mail.Address{t.Address}, []string{t.Original}
	if t.Recipient >= 0 && t.Recipient < len(env.Recipients) {
		rcpt := env.Recipients[t.Recipient]
		addresses, originals = append(addresses, rcpt.Address), append(originals, rcpt.Original)
	}
	return slices.ContainsFunc(addresses, func(b mail.Address) bool { return b.Key() == a.Key() || strings.EqualFold(b.Local, "postmaster") }) ||
		slices.ContainsFunc(originals, func(s string) bool { return strings.EqualFold(s, a.Original()) })
}
