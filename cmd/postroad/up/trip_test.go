package up

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

func trip() []*trackingv1.Event {
	return []*trackingv1.Event{
		{TimeUnixUs: 1000, Node: "paris-1", Kind: trackingv1.EventKind_EVENT_KIND_RECEIVE, Peer: "client.example"},
		{TimeUnixUs: 1500, Node: "paris-1", Kind: trackingv1.EventKind_EVENT_KIND_SEND, Recipients: []string{"olav@x", "oda@x"}, Peer: "berlin-1", Connector: "paris-berlin"},
		{TimeUnixUs: 2000, Node: "berlin-1", Kind: trackingv1.EventKind_EVENT_KIND_RECEIVE, Peer: "paris-1"},
		{TimeUnixUs: 2500, Node: "berlin-1", Kind: trackingv1.EventKind_EVENT_KIND_RECEIVE, Peer: "paris-1"},
		{TimeUnixUs: 3000, Node: "oslo-1", Kind: trackingv1.EventKind_EVENT_KIND_DELIVER, Recipients: []string{"Olav@x"}, Peer: "maildir", Detail: "stored"},
		{TimeUnixUs: 3000, Node: "oslo-1", Kind: trackingv1.EventKind_EVENT_KIND_EXPAND, Recipients: []string{"leads@x"}},
	}
}

func TestTrip(t *testing.T) {
	if got, want := hops(trip()), []string{"paris-1", "berlin-1"}; !slices.Equal(got, want) {
		t.Errorf("hops %v, want %v", got, want)
	}
	var b strings.Builder
	printTrip(&b, trip())
	want := `       0.0 ms  paris-1    RECEIVE   from client.example
       0.5 ms  paris-1    SEND      olav@x, oda@x to berlin-1 over paris-berlin
       1.0 ms  berlin-1   RECEIVE   from paris-1
       1.5 ms  berlin-1   RECEIVE   from paris-1
       2.0 ms  oslo-1     DELIVER   Olav@x to maildir (stored)
       2.0 ms  oslo-1     EXPAND    leads@x
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	if printTrip(&b, nil); b.Len() != 0 {
		t.Errorf("no events print %q", b.String())
	}
}

func TestUndelivered(t *testing.T) {
	olav, oda := mailbox{"olav@x", "oslo-1", "oslo"}, mailbox{"oda@x", "oslo-1", "oslo"}
	l := letter{expected: []mailbox{olav, oda}}
	if got := undelivered(trip(), l); !slices.Equal(got, []mailbox{oda}) || arrived(trip(), l) {
		t.Errorf("undelivered %v, want oda, to whom the letter was only sent on", got)
	}
	if l.expected = []mailbox{olav}; !arrived(trip(), l) {
		t.Error("olav's copy has arrived")
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"1": "Message-ID: <a@x>\r\n\r\n", "2": "Message-ID: <aa@x>\r\n\r\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{"a@x": true, "aa@x": true, "b@x": false, "a": false} {
		if holds(dir, id) != want {
			t.Errorf("%s: %v, want %v", id, !want, want)
		}
	}
	if holds(filepath.Join(dir, "missing"), "a@x") {
		t.Error("a folder that is not there holds a letter")
	}
}
