package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

func TestLinkStateTable(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	entry := func(name string, status linkstatev1.Status, accuser string) *linkstatev1.TableEntry {
		return &linkstatev1.TableEntry{
			Server: name, Group: "paris", AgeMs: 7000,
			Record: &linkstatev1.Record{
				Server: []byte(name), Accuser: []byte(accuser), Status: status,
				Incarnation: 1_799_999_940, Sequence: 3, Version: "v1",
			},
		}
	}
	one := entry("paris-1", linkstatev1.Status_STATUS_ALIVE, "")
	one.Connectors = []*linkstatev1.ConnectorEntry{{Connector: "paris-oslo", SinceUnixMs: 1_799_999_995_000, Reason: "connection refused"}}
	m := &linkstatev1.ListResponse{
		Node: "paris-1", Digest: "0123456789abcdef0123456789abcdef",
		Entries: []*linkstatev1.TableEntry{one, entry("paris-2", linkstatev1.Status_STATUS_DOWN, "paris-1")},
		Nodes: []*linkstatev1.NodeDigest{
			{Node: "paris-1", Digest: "0123456789abcdef0123456789abcdef", DirectoryRevision: 2, CatalogAgeMs: 900},
			{Node: "paris-2", Error: "connection refused"},
		},
	}
	for format, want := range map[string]string{
		"table": `
SERVER / CONNECTOR  GROUP  STATE  SINCE    REASON
paris-1             paris  alive  1m0s ago -
  paris-oslo               DOWN   5s ago   connection refused
paris-2             paris  down   7s ago   says paris-1

NODE     DIGEST            DIRECTORY REVISION  CATALOG AGE  TABLE
paris-1  0123456789abcdef  2                   900ms        same
paris-2  -                 -                   -            no answer
`,
		"name": "\nparis-1\nparis-2\n",
	} {
		var b strings.Builder
		c := &client{format: format}
		if err := c.linkState(&b, m, now); err != nil {
			t.Fatal(err)
		}
		if got := squeeze(b.String()); got != squeeze(want) {
			t.Errorf("-o %s:\n%s\nwant:\n%s", format, got, squeeze(want))
		}
	}
}

// squeeze makes tables comparable without counting columns.
func squeeze(table string) string {
	var lines []string
	for l := range strings.Lines(strings.TrimSpace(table)) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	return strings.Join(lines, "\n")
}

func TestQueueState(t *testing.T) {
	for want, q := range map[string]*queuev1.Queue{
		"ready":   {State: queuev1.State_STATE_READY, WaitingFor: "x"},
		"waiting": {State: queuev1.State_STATE_READY, WaitingFor: "a path", Messages: 1},
		"retry":   {State: queuev1.State_STATE_RETRY, WaitingFor: "x", Messages: 1},
	} {
		if got := queueState(q); got != want {
			t.Errorf("%v is %q, want %q", q, got, want)
		}
	}
}

func TestEventDetail(t *testing.T) {
	for want, e := range map[string]*trackingv1.Event{
		"250 2.6.0 Queued":             {Status: "2.6.0", Detail: "250 2.6.0 Queued"},
		"2.1.5 stored in the mailbox":  {Status: "2.1.5", Detail: "stored in the mailbox"},
		"this server is a bridgehead":  {Detail: "this server is a bridgehead"},
		"4.4.1 the host is not there.": {Status: "4.4.1", Detail: "the host is not there."},
	} {
		if got := detail(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLater(t *testing.T) {
	for us, want := range map[int64]string{0: "+0.0 ms", 1234: "+1.2 ms", 1_500_000: "+1.5 s", 90_000_000: "+1m30s"} {
		if got := later(us); got != want {
			t.Errorf("%d µs is %q, want %q", us, got, want)
		}
	}
}

func TestWay(t *testing.T) {
	for want, r := range map[string]*topologyv1.Route{
		"local delivery":                   {Result: "local", NextHop: "local delivery"},
		"failed":                           {Result: "failed", NextHop: "no route"},
		"to node b1 over lk":               {Result: "node", NextHop: "b1", Connector: "lk"},
		"by smart host [192.0.2.1] over w": {Result: "smart host", NextHop: "smart host [192.0.2.1]", Connector: "w"},
		"by example.net (MX)":              {Result: "mx", NextHop: "example.net (MX)"},
		"by drop over x400":                {Result: "drop", NextHop: "x400", Connector: "x400"},
	} {
		if got := way(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{status.Error(codes.InvalidArgument, "priority: x"), exitUsage, "priority: x"},
		{refused(status.Error(codes.InvalidArgument, "still used")), exitFailed, "still used"},
		{status.Error(codes.NotFound, "none"), exitNotFound, "none"},
		{status.Error(codes.Aborted, "changed"), exitConflict, "changed"},
		{status.Error(codes.PermissionDenied, "no"), exitFailed, "no"},
		{status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`),
			exitUnavailable, "the node cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"},
		{missing(&strings.Builder{}, map[string]string{"a": "x"}), exitPartial, "1 node did not answer"},
	} {
		var f *failure
		if !errors.As(failed(c.err), &f) || f.code != c.code || f.Error() != c.text {
			t.Errorf("%v becomes %+v, want code %d and %q", c.err, f, c.code, c.text)
		}
	}
}

// A verb that does not exist is wrong usage, not a wish for help.
func TestUnknownVerb(t *testing.T) {
	for _, args := range [][]string{{"queue", "nonsense"}, {"nonsense"}} {
		root := newRoot()
		root.SetArgs(args)
		root.SetOut(&strings.Builder{})
		if err := root.Execute(); err == nil {
			t.Errorf("postroadctl %s was taken", strings.Join(args, " "))
		}
	}
}

func TestKindNamed(t *testing.T) {
	for in, want := range map[string]string{"server": "Server", "SMTPconnectors": "SMTPConnector", "recipientpolicies": "RecipientPolicy"} {
		if got, err := kindNamed(in); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	var f *failure
	if _, err := kindNamed("mailbox"); !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(err.Error(), "Recipient,") {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestWhen(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	for d, want := range map[time.Duration]string{
		0: "0s ago", 300 * time.Millisecond: "0s ago", -300 * time.Millisecond: "0s ago",
		-90 * time.Second: "1m30s ago", 5 * time.Second: "in 5s", -26*time.Hour - 20*time.Second: "26h0m0s ago",
	} {
		if got := when(now.Add(d).UnixMilli(), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := when(0, now); got != "-" {
		t.Errorf("never: %q", got)
	}
}
