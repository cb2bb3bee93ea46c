package vserver

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// metrics are those of all virtual servers of a node. Their labels are bounded
// by the configuration and the reasons in replies.go.
type metrics struct {
	refused *prometheus.CounterVec
	replies *prometheus.CounterVec
}

func newMetrics(s *Set, r prometheus.Registerer) *metrics {
	m := &metrics{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postroad_smtp_refused_total", Help: "Connections, senders, recipients and messages refused, by reason.",
	}, []string{"virtual_server", "reason"})}
	m.replies = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postroad_smtp_error_replies_total", Help: "Replies of class 4 and 5, those of the protocol engine included, by code.",
	}, []string{"virtual_server", "code"})
	if r != nil {
		r.MustRegister(m.refused, m.replies, setCollector{s})
	}
	return m
}

// refuse counts and logs a refusal; it returns err for the engine. The words
// are the same for all reasons, so that one search finds them.
func (v *virtual) refuse(log *zap.Logger, event string, err error, fields ...zap.Field) error {
	var d *denial
	if !errors.As(err, &d) {
		log.Info(event, append(fields, zap.Error(err))...)
		return err
	}
	v.metrics.refused.WithLabelValues(v.name, d.reason).Inc()
	fields = append(fields, zap.String("reason", d.reason), zap.Int("code", d.Code), zap.Error(err))
	if d.cause != nil && d.Code/100 == 4 {
		log.Warn(event, append(fields, zap.NamedError("cause", d.cause))...)
		return err
	}
	log.Info(event, fields...)
	return err
}

// setCollector reports what runs.
type setCollector struct{ s *Set }

// Describe implements prometheus.Collector.
func (c setCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c setCollector) Collect(ch chan<- prometheus.Metric) {
	connections := prometheus.NewDesc("postroad_smtp_connections", "Clients connected.", []string{"virtual_server"}, nil)
	state := prometheus.NewDesc("postroad_virtual_server_state", "1 for the state that the virtual server is in.", []string{"virtual_server", "state"}, nil)
	for _, st := range c.s.Status() {
		ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(st.Connections), st.Name)
		ch <- prometheus.MustNewConstMetric(state, prometheus.GaugeValue, 1, st.Name, st.State)
	}
}
