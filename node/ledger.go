package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/spool"
)

// accountant holds the spool's ledger against the spool, at the start and from
// time to time, and is heard when they differ.
type accountant struct {
	node string
	log  *zap.Logger
	book auditor
	last atomic.Pointer[spool.Audit]
}

// auditor is the part of *spool.Spool that the accountant needs.
type auditor interface {
	Audit(context.Context) (spool.Audit, error)
	Ledger() spool.Ledger
	LedgerSince() time.Time
}

// auditEvery is the time between two checks; where a check takes long, a hundred
// times that.
const auditEvery = 10 * time.Minute

func auditPause(took time.Duration) time.Duration { return max(auditEvery, 100*took) }

func (a *accountant) run(ctx context.Context) error {
	for {
		start := time.Now()
		a.check(ctx)
		pause := time.NewTimer(auditPause(time.Since(start)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

func (a *accountant) check(ctx context.Context) {
	r, err := a.book.Audit(ctx)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, spool.ErrClosed) {
			a.log.Error("ledger_not_checked", zap.Error(err))
		}
		return
	}
	was := a.last.Swap(&r)
	fields := []zap.Field{zap.Int64("messages", r.Held.Messages), zap.Int64("recipients", r.Held.Recipients), zap.Int64("unread", r.Unread)}
	switch {
	case !r.Balanced():
		a.log.Error("ledger_imbalance", append(fields, zap.String("reason", r.String()), zap.Int64("off_messages", r.Off().Messages),
			zap.Int64("off_recipients", r.Off().Recipients), zap.String("cure", "a fault worth reporting: keep this log, stop the node, and look with `postroad spool check`"))...)
	case was == nil || !was.Balanced():
		a.log.Info("ledger_balanced", fields...)
	}
}

// imbalance is why the last check failed; empty: it did not.
func (a *accountant) imbalance() string {
	if r := a.last.Load(); r != nil && !r.Balanced() {
		return r.String()
	}
	return ""
}

// Ledger implements admin.Node.
func (a *accountant) Ledger() *nodev1.NodeLedger {
	l := a.book.Ledger()
	m := &nodev1.NodeLedger{Node: a.node, Queued: ledgerLine("queued", l.Queued()), Imbalance: a.imbalance()}
	if t := a.book.LedgerSince(); !t.IsZero() {
		m.SinceUnixMs = t.UnixMilli()
	}
	for _, line := range spool.Lines() {
		e := ledgerLine(line.String(), l[line])
		e.In = line.In()
		m.Lines = append(m.Lines, e)
	}
	if r := a.last.Load(); r != nil {
		m.CheckedUnixMs, m.Held = r.At.UnixMilli(), ledgerLine("held", r.Held)
	}
	return m
}

func ledgerLine(name string, t spool.Tally) *nodev1.LedgerLine {
	return &nodev1.LedgerLine{Name: name, Messages: t.Messages, Recipients: t.Recipients}
}

// Describe implements prometheus.Collector.
func (a *accountant) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(a, ch) }

// Collect implements prometheus.Collector.
func (a *accountant) Collect(ch chan<- prometheus.Metric) {
	l := a.book.Ledger()
	put := func(name, help, label string, kind prometheus.ValueType, values map[string]int64) {
		d := prometheus.NewDesc("postroad_ledger_"+name, help, []string{label}, nil)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			ch <- prometheus.MustNewConstMetric(d, kind, float64(values[k]), k)
		}
	}
	messages, recipients := map[string]int64{}, map[string]int64{}
	for _, line := range spool.Lines() {
		messages[line.String()], recipients[line.String()] = l[line].Messages, l[line].Recipients
	}
	put("messages_total", "Messages by what became of them, over restarts.", "line", prometheus.CounterValue, messages)
	put("recipients_total", "Recipients by what became of them, over restarts.", "line", prometheus.CounterValue, recipients)
	var off spool.Tally
	if r := a.last.Load(); r != nil {
		off = r.Off()
		if !r.Balanced() && off == (spool.Tally{}) {
			off.Messages = 1 // a part of the ledger cannot be read: that is an alarm, too
		}
	}
	put("off", "What the last check found in the spool beyond what the ledger says; anything but 0 is a fault.", "unit", prometheus.GaugeValue,
		map[string]int64{"messages": off.Messages, "recipients": off.Recipients})
}
