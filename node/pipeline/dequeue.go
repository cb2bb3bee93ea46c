package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/dequeue"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	"github.com/postroad/postroad/store/directory"
)

// fetching is package dequeue between the directory, the client side of SMTP, and
// the virtual servers.
type fetching struct {
	p        *Pipeline
	fetcher  *dequeue.Fetcher
	requests *prometheus.CounterVec
	messages *prometheus.CounterVec
}

func newFetching(p *Pipeline) *fetching {
	f := &fetching{
		p: p,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postroad_dequeue_requests_total", Help: "How often providers were asked for the mail that they hold, by what came of it.",
		}, []string{"connector", "method", "result"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postroad_dequeue_messages_total", Help: "Messages that came over turned connections (ATRN, TURN).",
		}, []string{"connector"}),
	}
	if p.cfg.Metrics != nil {
		p.cfg.Metrics.MustRegister(f.requests, f.messages)
	}
	f.fetcher = dequeue.New(dequeue.Config{Tasks: f.mine, Ask: f.ask, Told: f.told, Now: time.Now})
	return f
}

// RunDequeue fetches mail from providers by the clock until ctx ends.
func (p *Pipeline) RunDequeue(ctx context.Context) error { return p.fetching.fetcher.Run(ctx) }

// mine are the tasks of this node at this moment.
func (f *fetching) mine() []dequeue.Task {
	var list []dequeue.Task
	for _, c := range f.p.cfg.Catalog.Config().SMTPConnectors() {
		if c.Spec.GetDequeue() == nil {
			continue
		}
		if s, ok := f.p.routes.Turn(mail.GUID(c.GUID)); ok && s == f.p.self {
			t, _ := f.task(c)
			list = append(list, t)
		}
	}
	return list
}

func (f *fetching) task(c directory.SMTPConnector) (dequeue.Task, bool) {
	d, ok := f.p.cfg.Catalog.Config().Dequeuing(c.Spec)
	if !ok {
		return dequeue.Task{}, false
	}
	t := dequeue.Task{
		Connector: mail.GUID(c.GUID), Name: c.Name, Verb: verbOf(d.Method), What: d.What, Hop: f.p.routes.Provider(c, d),
		Interval: d.Interval, WithDelivery: d.WithDelivery, VirtualServer: d.VirtualServer,
	}
	if d.Week != nil {
		t.Open = &mail.Timetable{Name: d.Week.Name, Open: d.Week.Open, Location: d.Week.Location}
	}
	return t, true
}

func verbOf(m directoryv1.DequeueMethod) mail.Dequeuing {
	switch m {
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_ETRN:
		return mail.ETRN
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_ATRN:
		return mail.ATRN
	case directoryv1.DequeueMethod_DEQUEUE_METHOD_TURN:
		return mail.TURN
	}
	return mail.NoDequeuing
}

// ask implements dequeue.Config.Ask.
func (f *fetching) ask(ctx context.Context, t dequeue.Task) (r dequeue.Report) {
	var served error
	remote, answers, err := f.p.agent.Request(ctx, t.Hop, deliver.Request{Verb: t.Verb, What: t.What, Take: func(ctx context.Context, conn net.Conn) {
		r.Messages, served = f.p.Servers.ServeTurned(ctx, t.VirtualServer, conn)
	}})
	r.Remote, r.Err = remote, errors.Join(err, served)
	for _, a := range answers {
		r.Answers = append(r.Answers, dequeue.Answer{What: a.What, Reply: a.Reply})
	}
	return r
}

// told implements dequeue.Config.Told.
func (f *fetching) told(r dequeue.Report) {
	method := r.Task.Verb.String()
	f.requests.WithLabelValues(r.Task.Name, method, r.Outcome().String()).Inc()
	f.messages.WithLabelValues(r.Task.Name).Add(float64(r.Messages))
	log := f.p.cfg.Logger.Named("dequeue").With(zap.String("connector", r.Task.Name), zap.String("method", method), zap.String("remote", r.Remote))
	for _, a := range r.Answers {
		log.Info("dequeue_answered", zap.String("what", a.What), zap.Stringer("reply", a.Reply), zap.Stringer("result", a.Outcome()))
	}
	switch {
	case r.Err != nil:
		log.Warn("dequeue_failed", zap.Error(r.Err))
	case r.Task.Verb.Turns():
		log.Info("dequeue_done", zap.Int("messages", r.Messages))
	}
}

// delivered is told of each message that was delivered, so it looks twice before it
// asks for more.
func (f *fetching) delivered(h mail.Hop) {
	if h.Connector.IsZero() || h.Kind != mail.HopSmartHost && h.Kind != mail.HopMX {
		return
	}
	if c, ok := f.p.cfg.Catalog.Config().SMTPConnectorByGUID(directory.GUID(h.Connector)); ok && c.Spec.GetDequeue().GetWithDelivery() {
		f.fetcher.Delivered(h.Connector)
	}
}

var (
	errNoDequeue = errors.New("fetches nothing: it has no setting dequeue")
	errNobody    = errors.New("no bridgehead can ask now: all are down or drained, or the connector is disabled or drained")
)

// Dequeue implements admin.Node: it asks the provider of a connector now. node is the
// bridgehead whose turn it is, where that is another one; nothing at all is given for
// a connector that does not exist.
func (p *Pipeline) Dequeue(ctx context.Context, connector string) (resp *queuev1.DequeueResponse, node string, err error) {
	conf := p.cfg.Catalog.Config()
	c, ok := conf.SMTPConnector(connector)
	if !ok {
		return nil, "", nil
	}
	t, ok := p.fetching.task(c)
	if !ok {
		return nil, "", fmt.Errorf("SMTPConnector/%s %w", connector, errNoDequeue)
	}
	server, ok := p.routes.Turn(mail.GUID(c.GUID))
	if !ok {
		return nil, "", fmt.Errorf("SMTPConnector/%s: %w", connector, errNobody)
	}
	s, _ := conf.ServerByGUID(directory.GUID(server))
	if server != p.self {
		return nil, s.Name, nil
	}
	r, err := p.fetching.fetcher.Now(ctx, t)
	if err != nil {
		return nil, "", err
	}
	return dequeueResponse(r, s.Name), s.Name, nil
}

func dequeueResponse(r dequeue.Report, node string) *queuev1.DequeueResponse {
	resp := &queuev1.DequeueResponse{Connector: r.Task.Name, Node: node, Method: r.Task.Verb.String(), Remote: r.Remote, Messages: int32(r.Messages)}
	for _, a := range r.Answers {
		resp.Answers = append(resp.Answers, &queuev1.DequeueAnswer{What: a.What, Code: int32(a.Reply.Code), Text: strings.Join(a.Reply.Lines, " ")})
	}
	if r.Err != nil {
		resp.Error = r.Err.Error()
	}
	return resp
}
