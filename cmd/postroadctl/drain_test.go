package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// film is a node whose queues change with every look; the last picture stays.
type film struct {
	pictures []any // *queuev1.ListResponse or error
	looks    int
}

func (f *film) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	now := f.pictures[min(f.looks, len(f.pictures)-1)]
	f.looks++
	if err, bad := now.(error); bad {
		return err
	}
	*reply.(*queuev1.ListResponse) = queuev1.ListResponse{Queues: now.(*queuev1.ListResponse).Queues, Missing: now.(*queuev1.ListResponse).Missing}
	return nil
}

func (f *film) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	panic("nobody streams here")
}

func waiting(messages ...int64) *queuev1.ListResponse {
	m := &queuev1.ListResponse{Queues: []*queuev1.Queue{{Node: "other", Connector: "k", Messages: 7}}}
	for _, n := range messages {
		m.Queues = append(m.Queues, &queuev1.Queue{Node: "paris-1", Kind: "Remote delivery", Destination: "oslo-1", Messages: n, LastError: "connection refused"})
	}
	return m
}

// Following a drain: through the restart of the node, to the end or to the limit.
func TestFollowDrain(t *testing.T) {
	gone := status.Error(codes.Unavailable, "the node cannot be reached")
	lost := &queuev1.ListResponse{Missing: map[string]string{"paris-1": "connection refused"}}
	server := &topologyv1.DrainResponse{Kind: "Server", Name: "paris-1", Nodes: []string{"paris-1"}}
	for name, k := range map[string]struct {
		drain    *topologyv1.DrainResponse
		pictures []any
		timeout  string
		code     int
		says     []string
	}{
		"empties": {server, []any{waiting(90, 10), waiting(90), waiting(45), waiting()}, "", exitOK,
			[]string{"100 messages left\n", "90 messages left, 10.0/s, about 9s to go", "45 messages left, 27.5/s", "paris-1 is empty; 100 messages left it"}},
		"through a restart": {server, []any{waiting(5), gone, gone, lost, lost, waiting(2), waiting()}, "", exitOK, []string{"5 messages left", "no answer from paris-1", "paris-1 is empty; 5"}},
		"stays":             {server, []any{waiting(5), waiting(3)}, "30s", exitPartial, []string{"3 messages left"}},
		"silent":            {server, []any{lost}, "30s", exitUnavailable, []string{"no answer from paris-1: connection refused"}},
		"unreachable":       {server, []any{gone}, "30s", exitUnavailable, nil},
		"connector": {&topologyv1.DrainResponse{Kind: "SMTPConnector", Name: "k", Nodes: []string{"other"}}, []any{waiting(5), &queuev1.ListResponse{}}, "", exitOK,
			[]string{"7 messages left", "k is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out, errs bytes.Buffer
				c := &client{format: "table"}
				cmd := &cobra.Command{}
				cmd.SetContext(t.Context())
				cmd.SetOut(&out)
				cmd.SetErr(&errs)
				cmd.Flags().DurationVar(&c.timeout, "timeout", 10*time.Second, "")
				if k.timeout != "" {
					if err := cmd.Flags().Set("timeout", k.timeout); err != nil {
						t.Fatal(err)
					}
				}
				p := progress{client: c, cmd: cmd, conn: &film{pictures: k.pictures}, drain: k.drain, waits: true}
				err, code := p.follow(), exitOK
				if f, ok := err.(*failure); ok {
					code = f.code
				}
				if code != k.code {
					t.Errorf("%v, exit code %d, want %d", err, code, k.code)
				}
				rest := out.String()
				for _, s := range k.says {
					_, after, found := strings.Cut(rest, s)
					if !found {
						t.Fatalf("no %q in\n%s\nof\n%s%s", s, rest, out.String(), errs.String())
					}
					rest = after
				}
			})
		})
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"90m": "2026-05-04T11:00:00Z", "2026-05-03T01:02:03Z": "2026-05-03T01:02:03Z", "2026-05-03 01:02:03": "2026-05-03T01:02:03Z",
		"2026-05-03 01:02": "2026-05-03T01:02:00Z", "11:15": "2026-05-04T11:15:00Z", "11:15:16": "2026-05-04T11:15:16Z",
		"-90m": "", "noon": "", "25:00": "",
	} {
		got, err := moment(s, now)
		if (err != nil) != (want == "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "500": 500, "2k": 2048, "5M": 5 << 20, "1G": 1 << 30, "": -1, "M": -1, "5T": -1, "-1": -1, "99999999999G": -1, "5MM": -1} {
		got, err := octets(s)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 1 << 62: "4.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
