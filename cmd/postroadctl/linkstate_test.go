package main

import (
	"strings"
	"testing"
	"time"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func TestDampingShownWhileItLasts(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for in, want := range map[time.Duration]string{
		time.Minute:  "refused; flapping, may return at " + now.Add(time.Minute).Format(time.TimeOnly),
		0:            "refused",
		-time.Minute: "refused",
	} {
		k := &linkstatev1.ConnectorEntry{Reason: "refused", SuppressedUntilUnixMs: now.Add(in).UnixMilli()}
		if got := linkReason(k, now); got != want {
			t.Errorf("suppression that ends in %v: %q, want %q", in, got, want)
		}
	}
	if got := linkReason(&linkstatev1.ConnectorEntry{Up: true}, now); got != "" {
		t.Errorf("a link that is up: %q", got)
	}
}

func TestLinkStateOfOneServer(t *testing.T) {
	ms := time.Now().Add(-3 * time.Minute).UnixMilli()
	var b strings.Builder
	err := (&client{format: "table"}).linkStateEntry(&b, &linkstatev1.GetResponse{
		Node: "oslo-1", Accuser: "paris-2",
		Entry: &linkstatev1.TableEntry{
			Server: "paris-1", Group: "paris", AgeMs: 2000,
			Record:     &linkstatev1.Record{Status: linkstatev1.Status_STATUS_DOWN, Drain: linkstatev1.Drain_DRAIN_SOFT, Incarnation: 7, Sequence: 3, SinceUnixMs: ms},
			Connectors: []*linkstatev1.ConnectorEntry{{Connector: "internet", SinceUnixMs: ms, Reason: "refused"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `
FIELD VALUE
server paris-1
group paris
state down, says paris-2
changed 3m0s ago
seen here 2s ago
incarnation 7
sequence 3
drain soft
version -
as known to oslo-1

CONNECTOR STATE SINCE REASON
internet was DOWN 3m0s ago refused`
	if got := squeeze(b.String()); got != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, squeeze(want))
	}
}
