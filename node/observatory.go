package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/pipeline"
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/spool"
)

// observatory is where a node can be watched from: /metrics for Prometheus,
// /healthz (the process works) and /readyz (it takes mail) for balancers and
// supervisors.
type observatory struct {
	node     *Node
	registry *prometheus.Registry
	ledger   *accountant // once there is a spool
}

// newObservatory listens first of all, so that a supervisor can see a node that
// is still booting. Metrics "off" listens nowhere.
func newObservatory(n *Node, p *parts) (*observatory, error) {
	o := &observatory{node: n, registry: prometheus.NewRegistry()}
	o.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "postroad_info", Help: "1; the labels tell which node this is.",
			ConstLabels: prometheus.Labels{"node": n.cfg.Name, "version": n.deps.Version},
		}, func() float64 { return 1 }),
	)
	if n.cfg.Metrics == metricsOff {
		return o, nil
	}
	l, err := net.Listen("tcp", n.cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("metrics cannot listen: %w; stop the other program, or set metrics to another address or to off", err)
	}
	p.port(func() { _ = l.Close() })
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", o.readyz)
	if n.cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: zap.NewStdLog(n.log.Named("metrics"))}
	p.run("metrics", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return o, nil
}

func (o *observatory) readyz(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-o.node.Ready():
		fmt.Fprintln(w, "ready")
	default:
		reached := "nothing"
		if b := o.node.Boot(); len(b) > 0 {
			reached = b[len(b)-1].Name
		}
		http.Error(w, "booting: reached "+reached, http.StatusServiceUnavailable)
	}
}

// watch adds what the stages can tell at any moment.
func (o *observatory) watch(p *pipeline.Pipeline, s *spool.Spool, c *catalog.Catalog, pressed *pressure.Sampler) {
	gauge := func(name, help string, value func() float64) {
		o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postroad_" + name, Help: help}, value))
	}
	gauge("spool_messages", "Messages accepted and not finished.", func() float64 { return float64(s.Stats().Messages) })
	gauge("spool_quarantined_messages", "Messages that cannot be read and were set aside.", func() float64 { return float64(s.Stats().Aside) })
	gauge("spool_bytes", "Octets of their content.", func() float64 { return float64(s.Stats().Bytes) })
	gauge("spool_disk_free_bytes", "Free space on the spool's disk.", func() float64 { return float64(s.Stats().DiskFree) })
	gauge("spool_disk_wait_seconds", "How long the oldest operation of the spool's disk under way has lasted.", func() float64 { return s.Stats().DiskWait.Seconds() })
	gauge("back_pressure_level", "0 normal, 1 medium, 2 high (mail is refused with 452).", func() float64 { level, _ := pressed.Level(); return float64(level) })
	for i, r := range pressure.Resources() {
		o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "postroad_pressure_level", Help: "Back pressure by resource: 0 normal, 1 medium, 2 high.",
			ConstLabels: prometheus.Labels{"resource": r.String()},
		}, func() float64 { return float64(pressed.States()[i].Level) }))
	}
	gauge("catalog_age_seconds", "Time since the directory last confirmed the catalog.", func() float64 { return c.Age(time.Now()).Seconds() })
	gauge("catalog_revision", "Directory revision that the catalog has.", func() float64 { return float64(c.Revision()) })
	gauge("routing_table_version", "Version of the routing table that decides. Numbers go on over restarts.", func() float64 { return float64(p.TableVersion()) })
	gauge("outbound_connections", "Connections to other hosts.", func() float64 { return float64(p.OutboundConnections().Open) })
	gauge("outbound_connections_limit", "How many there may be in all; 0: no limit.", func() float64 { return float64(p.OutboundConnections().Limit) })
	gauge("links_waiting", "Links with mail that want one more connection than the limits leave room for.", func() float64 { return float64(p.OutboundConnections().Waiting) })
	gauge("links_down", "Bridgeheads of connectors that are down, as this node knows.", func() float64 { return float64(p.LinksDown()) })
	gauge("servers_down", "Servers that are suspected or down, as this node knows.", func() float64 { return float64(p.ServersDown()) })
	gauge("linkstate_diverged_neighbours", "Neighbours whose link state stays another than this node's.", func() float64 { return float64(p.Diverged()) })
	gauge("certificate_expires_timestamp_seconds", "When the node's own certificate expires, as a Unix time.", func() float64 { return float64(o.node.identity.NotAfter().Unix()) })
	for _, carrier := range []string{"grpc", "smtp"} {
		o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "postroad_gossip_streams", Help: "Streams of link state to neighbours, by what carries them.",
			ConstLabels: prometheus.Labels{"carrier": carrier},
		}, func() float64 { return float64(p.GossipStreams()[carrier]) }))
	}
	for kind := range p.GossipSent() {
		o.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "postroad_gossip_sent_bytes_total", Help: "Octets of link state sent to neighbours, by kind of frame.",
			ConstLabels: prometheus.Labels{"frame": kind},
		}, func() float64 { return float64(p.GossipSent()[kind]) }))
	}
	for kind := range p.Stalls() {
		o.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "postroad_queue_stalls_total", Help: "How often the watchdog restarted what stood still, by what that was.",
			ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 { return float64(p.Stalls()[kind]) }))
	}
	o.registry.MustRegister(queueCollector{p}, stoppedCollector{p})
	for action := range p.Acted() {
		o.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "postroad_admin_actions_total", Help: "Messages that administrators froze, thawed, deleted, redirected or had tried.",
			ConstLabels: prometheus.Labels{"action": action},
		}, func() float64 { return float64(p.Acted()[action]) }))
	}
}

// stoppedCollector reports what an administrator or a rule holds back.
type stoppedCollector struct{ p *pipeline.Pipeline }

// Describe implements prometheus.Collector.
func (s stoppedCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s stoppedCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value)
	}
	now := s.p.Stopped()
	gauge("postroad_frozen_queues", "Queues that are frozen as a whole.", float64(now.Queues))
	off := 0.0
	if now.Outbound {
		off = 1
	}
	gauge("postroad_outbound_disabled", "1: nothing leaves this server.", off)
	held := prometheus.NewDesc("postroad_frozen_messages", "Messages that are held one by one, by hand or by a rule.", []string{"by"}, nil)
	for by, n := range now.Messages {
		ch <- prometheus.MustNewConstMetric(held, prometheus.GaugeValue, float64(n), by)
	}
}

// queueCollector reports queues by kind: names of destinations would be labels
// without bound.
type queueCollector struct{ p *pipeline.Pipeline }

// Describe implements prometheus.Collector.
func (q queueCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(q, ch) }

// Collect implements prometheus.Collector.
func (q queueCollector) Collect(ch chan<- prometheus.Metric) {
	messages := prometheus.NewDesc("postroad_queue_messages", "Messages in queues of a kind.", []string{"kind"}, nil)
	oldest := prometheus.NewDesc("postroad_queue_oldest_seconds", "Age of the oldest message in queues of a kind.", []string{"kind"}, nil)
	for kind, t := range q.p.QueueTotals() {
		ch <- prometheus.MustNewConstMetric(messages, prometheus.GaugeValue, float64(t.Messages), kind)
		ch <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, t.Oldest.Seconds(), kind)
	}
}
