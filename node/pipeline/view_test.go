package pipeline

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// text writes a message the same way every time, which protojson does not.
func text(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func TestTopologyView(t *testing.T) {
	m := newPipeline(t).Topology()
	m.CatalogAgeMs = 0
	golden(t, "topology.json", text(t, m))
}

func TestExplainView(t *testing.T) {
	p := newPipeline(t)
	for name, req := range map[string]*topologyv1.ExplainRequest{
		"own":     {Address: "alice@example.test"},
		"group":   {Address: "leads@example.test"},
		"far":     {Address: "olav@example.test"},
		"outside": {Address: "someone@example.net", Size: 1 << 20, Priority: "low"},
		"contact": {Address: "pat@example.test"},
		"nobody":  {Address: "nobody@example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := p.Explain(req)
			if err != nil {
				t.Fatal(err)
			}
			m.CatalogAgeMs = 0
			golden(t, "explain-"+name+".json", text(t, m))
		})
	}
	for _, bad := range []*topologyv1.ExplainRequest{{Address: "no address"}, {Address: "a@example.test", Priority: "urgent"}} {
		if m, err := p.Explain(bad); err == nil {
			t.Errorf("%v was explained: %v", bad, m)
		}
	}
}

func TestDestination(t *testing.T) {
	p := newPipeline(t)
	conf := p.cfg.Catalog.Config()
	oslo, _ := conf.Server("oslo-1")
	internet, _ := conf.SMTPConnector("internet")
	for want, q := range map[string]queue.Info{
		"":                                     {Kind: queue.KindUnreachable},
		"local":                                {Kind: queue.KindLocal},
		"oslo-1":                               {Kind: queue.KindRemote, Destination: mail.Destination{Place: mail.PlaceServer, Server: mail.GUID(oslo.GUID)}},
		"00000000-0000-0000-0000-0000000000ff": {Kind: queue.KindRemote, Destination: mail.Destination{Place: mail.PlaceServer, Server: mail.GUID{15: 255}}},
		"SMTP:example.net":                     {Kind: queue.KindRemote, Destination: mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "example.net"}},
		"SMTP:example.net over internet": {Kind: queue.KindRemote, Destination: mail.Destination{
			Place: mail.PlaceForeign, Type: "SMTP", Domain: "example.net", Connector: mail.GUID(internet.GUID)}},
	} {
		if got := p.destination(q); got != want {
			t.Errorf("%+v is called %q, want %q", q, got, want)
		}
	}
}

// Every state of a queue has a word in the API, and no two share one.
func TestQueueStates(t *testing.T) {
	seen := map[queuev1.State]queue.State{}
	for _, s := range []queue.State{queue.Active, queue.Ready, queue.Retry, queue.Scheduled, queue.Remote, queue.Frozen} {
		got := queueState(s)
		if other, twice := seen[got]; twice || got == queuev1.State_STATE_UNSPECIFIED {
			t.Errorf("state %v is shown as %v, like %v", s, got, other)
		}
		seen[got] = s
	}
}

func TestTrackingEvent(t *testing.T) {
	p := newPipeline(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	got := p.trackingEvent(mail.Event{
		At: at, Kind: mail.EventDeliver, Source: "QUEUE", ID: mail.ID{1}, MessageID: "m@x", Sender: "a@x", Recipients: []string{"b@x"},
		Peer: "mailbox", Connector: "k", Status: "2.1.5", Detail: "stored", Size: 7, Table: 3,
	})
	want := &trackingv1.Event{
		TimeUnixUs: at.UnixMicro(), Node: "paris-1", Kind: trackingv1.EventKind_EVENT_KIND_DELIVER, Source: "QUEUE",
		QueueId: mail.ID{1}.String(), MessageId: "m@x", Sender: "a@x", Recipients: []string{"b@x"}, Peer: "mailbox", Connector: "k",
		Status: "2.1.5", Detail: "stored", Size: 7, TableVersion: 3,
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The API's kinds of event are mail's, number for number and word for word.
func TestEventKindsAgree(t *testing.T) {
	for n, name := range trackingv1.EventKind_name {
		word := strings.TrimPrefix(name, "EVENT_KIND_")
		if got := mail.EventKind(n).String(); n != 0 && !strings.EqualFold(got, word) {
			t.Errorf("kind %d is %q in mail, %q in the API", n, got, word)
		}
	}
}

// What a message carries to the next node is what the next node reads.
func TestReceivedEvent(t *testing.T) {
	p := newPipeline(t)
	oslo, _ := p.cfg.Catalog.Config().Server("oslo-1")
	env := &mail.Envelope{ID: mail.ID{1}, Origin: mail.ID{1}, MessageID: "in@x", ClientName: "client.example", ClientHost: "192.0.2.1", Received: time.Now()}
	p.received(env)
	env.MessageID, env.FromNode = "node@x", mail.GUID(oslo.GUID)
	p.received(env)
	var peers []string
	for _, id := range []string{"in@x", "node@x"} {
		found, err := p.Find(&trackingv1.FindRequest{Message: id})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			peers = append(peers, e.GetPeer())
		}
	}
	if want := []string{"client.example [192.0.2.1]", "oslo-1"}; !reflect.DeepEqual(peers, want) {
		t.Errorf("peers %q, want %q", peers, want)
	}
}
