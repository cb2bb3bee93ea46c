package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// What was sent is counted, survives a restart, and weighs what a change moves.
func TestLoadMoves(t *testing.T) {
	p := newPipeline(t)
	conf := p.cfg.Catalog.Config()
	oslo, _ := conf.Server("oslo-1")
	send := func(n int, connector string, d mail.Destination, entered bool) {
		for range n {
			p.event(mail.Event{Kind: mail.EventSend, Size: 1000, Connector: connector, Sent: &mail.Sent{Destination: d, Entered: entered}})
		}
	}
	toOslo := mail.Destination{Place: mail.PlaceServer, Server: mail.GUID(oslo.GUID)}
	send(3, "paris-berlin", toOslo, true)
	send(2, "paris-berlin", toOslo, false) // passed through: it entered elsewhere
	send(4, "internet", mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "example.net"}, true)

	p.traffic.save(time.Now())
	p.traffic = newTraffic(p.traffic.path, p.cfg.Logger, time.Now())
	now := p.Traffic()
	if len(now.GetFlows()) != 2 || now.GetGroup() != "paris" {
		t.Fatalf("traffic %v", now)
	}
	for _, f := range now.GetFlows() {
		switch f.GetConnector() {
		case "paris-berlin":
			if f.GetTargetGroup() != "oslo" || f.GetMessages() != 5 || f.GetBytes() != 5000 || f.GetEnteredMessages() != 3 {
				t.Errorf("%v", f)
			}
		case "internet":
			if f.GetAddressSpace() != "SMTP:*" || f.GetMessages() != 4 {
				t.Errorf("%v", f)
			}
		}
	}

	m, err := p.WhatIf(&topologyv1.WhatIfRequest{Down: []string{"paris-berlin"}}, []*topologyv1.TrafficResponse{now})
	if err != nil {
		t.Fatal(err)
	}
	if m.GetMessages() != 3 || m.GetBytes() != 3000 {
		t.Errorf("%d messages of %d octets would move, want 3 of 3000", m.GetMessages(), m.GetBytes())
	}
	var got []string
	for _, k := range m.GetLoads() {
		got = append(got, strings.Join(strings.Fields(k.String()), " "))
	}
	want := map[string]int64{"paris-berlin": -3, "berlin-oslo": -3, "paris-oslo": 3}
	if len(got) != len(want) {
		t.Errorf("loads %q", got)
	}
	for _, k := range m.GetLoads() {
		if k.GetMessagesDelta() != want[k.GetConnector()] || k.GetBytesDelta() != 1000*want[k.GetConnector()] {
			t.Errorf("%v, want %d", k, want[k.GetConnector()])
		}
	}
	// The totals are those of all ways, listed or not.
	if few, err := p.WhatIf(&topologyv1.WhatIfRequest{Down: []string{"paris-berlin"}, Limit: 1}, []*topologyv1.TrafficResponse{now}); err != nil ||
		len(few.GetWays()) != 1 || few.GetMessages() != 3 {
		t.Errorf("%v, %v", few, err)
	}
}
