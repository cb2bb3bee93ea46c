package track

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postroad/postroad/node/mail"
)

// metrics are counted when an event is recorded, whether or not it reaches the
// disk. The only label is the kind, of which there are eleven.
type metrics struct {
	events  [mail.EventThaw + 1]prometheus.Counter
	bytes   [mail.EventThaw + 1]prometheus.Counter // nil where a size says nothing
	dropped prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postroad_message_events_total", Help: "Hand-overs of messages, by kind.",
	}, []string{"event"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postroad_message_bytes_total", Help: "Octets of messages received, sent and delivered.",
	}, []string{"event"})
	m := &metrics{dropped: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "postroad_tracking_dropped_total", Help: "Events missing in the message tracking log: buffer full, or disk failed.",
	})}
	for k := mail.EventReceive; k <= mail.EventThaw; k++ {
		m.events[k] = events.WithLabelValues(strings.ToLower(k.String()))
		switch k {
		case mail.EventReceive, mail.EventSend, mail.EventDeliver:
			m.bytes[k] = bytes.WithLabelValues(strings.ToLower(k.String()))
		}
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{events, bytes, m.dropped} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(e *mail.Event) {
	if int(e.Kind) >= len(m.events) || m.events[e.Kind] == nil {
		return
	}
	m.events[e.Kind].Inc()
	if b := m.bytes[e.Kind]; b != nil && e.Size > 0 {
		b.Add(float64(e.Size))
	}
}
