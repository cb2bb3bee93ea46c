package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/filter"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

func (f fakeQueue) List(_ context.Context, r *queuev1.ListRequest) (*queuev1.ListResponse, error) {
	resp := &queuev1.ListResponse{Missing: f.missing, Queues: []*queuev1.Queue{
		{Node: f.name, Id: "q1", Kind: "Remote delivery", Destination: "oslo-1", NextHop: "oslo-1", Connector: "paris-oslo", VirtualServer: "paris-1-wan", State: queuev1.State_STATE_RETRY,
			Messages: 3, OldestAgeMs: 61_000, WaitingFor: "the next try", LastError: "connection refused", NextAttemptUnixMs: time.Now().Add(5 * time.Minute).UnixMilli(), Class: "normal"},
		{Node: f.name, Id: "q2", Kind: "Local delivery", Destination: "local", State: queuev1.State_STATE_READY},
		{Node: f.name, Id: "pre-submission", Kind: "Pre-submission", State: queuev1.State_STATE_FROZEN, WaitingFor: "`queue thaw`: frozen by ada"},
	}}
	if r.GetAllNodes() {
		resp.Queues = append(resp.Queues, &queuev1.Queue{Node: "oslo-1", Id: "q9", Kind: "Local delivery", State: queuev1.State_STATE_ACTIVE})
	}
	if r.GetFilter() == "messages=0" {
		resp.Queues = resp.Queues[1:]
	}
	// Pages are told by how many were there before.
	if from, err := strconv.Atoi(r.GetPageToken()); err == nil {
		resp.Queues = resp.Queues[from:]
	}
	if n := int(r.GetPageSize()); n > 0 && n < len(resp.Queues) {
		resp.Queues, resp.NextPageToken = resp.Queues[:n], strconv.Itoa(n)
	}
	if f.name == "paris-1" && len(f.missing) == 0 && r.GetFilter() == "" && r.GetPageToken() == "" && r.GetPageSize() > 100 {
		resp.Freezes = []*queuev1.StandingFreeze{{Node: "berlin-1", Like: &queuev1.Likeness{Kind: "outbound"}, By: "ada", Reason: "billing", Messages: 1, Queues: 1}, {Node: "oslo-1", Like: &queuev1.Likeness{NextHop: "mx.example", Connector: "internet"}, By: "ada", Reason: "ill", Messages: 4, Queues: 1}}
	}
	return resp, mood(context.Background(), r.GetNode())
}

func (f fakeQueue) Messages(ctx context.Context, r *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	if _, err := filter.Parse(filter.Messages, r.GetFilter()); err != nil && r.GetFilter() != "" {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if r.GetFilter() == "size>1G" { // nothing is found, and time is always over
		from, _ := strconv.ParseInt(r.GetPageToken(), 10, 64)
		if from == 3 {
			return nil, status.Error(codes.DeadlineExceeded, "")
		}
		return &queuev1.MessagesResponse{NextPageToken: fmt.Sprint(from + 1), LookedAt: 50_000, LookedUntilUnixMs: 1_800_000_000_000}, nil
	}
	if r.GetPageToken() == "" && r.GetLimit() == 1 {
		return &queuev1.MessagesResponse{Messages: []*queuev1.Message{{Node: "oslo-1", QueueId: "06G0", State: "waiting"}}, NextPageToken: "next", Missing: f.missing}, nil
	}
	return &queuev1.MessagesResponse{Missing: f.missing, Messages: []*queuev1.Message{{
		Queue: "q1", State: "retry", Priority: "normal", Destination: "oslo-1", NextHop: "oslo-1", MessageId: "hello@example.test",
		Node: f.name, QueueId: "06H0", Sender: "alice@example.test", Recipients: []string{"olav@example.test", "oda@example.test"}, Size: 1234,
		ReceivedUnixMs: 1_800_000_000_000, Attempts: 2, LastError: "connection refused",
	}, {
		Node: f.name, QueueId: "06H1", Sender: "bob@example.test", Recipients: []string{"olav@example.test"}, Size: 10,
		ReceivedUnixMs: 1_800_000_000_000, Hold: "hand", FrozenBy: "ada", FrozenReason: "looks like spam",
	}, {
		Node: f.name, QueueId: "06H2", Recipients: []string{"olav@example.test"}, Size: 10,
		ReceivedUnixMs: 1_800_000_000_000, Hold: "rule/night", FrozenReason: "waits for the day",
	}}}, mood(ctx, firstWord(r.GetNode(), r.GetQueue()))
}

func (f fakeQueue) Shape(ctx context.Context, r *queuev1.ShapeRequest) (*queuev1.ShapeResponse, error) {
	return &queuev1.ShapeResponse{
		Minutes: []int32{5, 10}, Missing: f.missing, Total: &queuev1.ShapeRow{Name: "TOTAL", Total: 6, Counts: []int64{1, 2, 3}},
		Rows: []*queuev1.ShapeRow{{Name: "oslo-1", Total: 6, Counts: []int64{1, 2, 3}}},
	}, mood(ctx, r.GetBy())
}

func (f fakeQueue) Quarantine(ctx context.Context, r *queuev1.QuarantineRequest) (*queuev1.QuarantineResponse, error) {
	m := &queuev1.QuarantineResponse{Messages: r.GetMessages()}
	if r.GetAll() {
		m.Messages = []string{"06H0", "07H0", "08H0"}
	} else if len(r.GetMessages()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "name the messages, or say all of them")
	} else if r.GetMessages()[0] == "09H0" {
		m.Messages, m.Failed = nil, map[string]string{"09H0": "it is not set aside on this node"}
	}
	return m, nil
}

func (f fakeQueue) Retry(ctx context.Context, r *queuev1.RetryRequest) (*queuev1.RetryResponse, error) {
	m := &queuev1.RetryResponse{Links: 2, Missing: f.missing, LinksOf: map[string]int32{f.name: 2}}
	switch {
	case r.GetAllNodes() && r.GetQueue() == "":
		m.LinksOf["oslo-1"] = 0
	case r.GetAllNodes() && r.GetQueue() == "elsewhere":
		m = &queuev1.RetryResponse{Missing: f.missing}
	case r.GetNode() != "":
		m.Links, m.LinksOf = 0, map[string]int32{r.GetNode(): 0}
	}
	return m, mood(ctx, r.GetQueue())
}

func (f fakeQueue) force(ctx context.Context, r *queuev1.ActRequest) (*queuev1.ActResponse, error) {
	res := &queuev1.ActResult{Node: f.name, Links: 2, Queues: 3, Messages: 40}
	m := &queuev1.ActResponse{Results: []*queuev1.ActResult{res}, Missing: f.missing}
	switch q := strings.Join(r.GetQueues(), " "); {
	case r.GetAllNodes() && q == "":
		m.Results = append(m.Results, &queuev1.ActResult{Node: "oslo-1"})
	case q == "poison":
		res.Links, res.Queues, res.Messages = 0, 1, 2
	case q == "elsewhere":
		m.Results[0] = &queuev1.ActResult{Node: f.name, Unknown: r.GetQueues()}
	case q == "frozen":
		m.Results[0] = &queuev1.ActResult{Node: f.name, Stays: map[string]string{q: "it is frozen, and waits for `queue thaw`: frozen by ada"}}
	case r.GetNode() != "":
		m.Results[0] = &queuev1.ActResult{Node: r.GetNode()}
	}
	return m, mood(ctx, strings.Join(r.GetQueues(), ""))
}

// Show knows what keeps messages by their ID.
func (f fakeQueue) Show(ctx context.Context, r *queuev1.ShowRequest) (*queuev1.ShowResponse, error) {
	now := time.Now().UnixMilli() + 200 // so that it is rounded to the same second
	o := &queuev1.Outlook{Ahead: 3, Beside: 40, RetryAfterMs: 600_000, Class: "normal", Message: &queuev1.Message{
		Node: f.name, QueueId: r.GetMessage(), MessageId: "hello@example.test", Sender: "alice@example.test", Recipients: []string{"olav@example.net"},
		Size: 1234, ReceivedUnixMs: now - 3_600_000, Queue: "q1", Kind: "Remote delivery", Destination: "SMTP:example.net", NextHop: "mx.example.net",
		Connector: "internet", VirtualServer: "paris-1-out", State: "retry", Attempts: 2,
	}, ExpiresUnixMs: now + 7_200_000, DelayNotified: true}
	switch r.GetMessage() {
	case "retry":
		o.LeavesUnixMs = now + 60_000
		o.Blocks = []*queuev1.Block{{Kind: "link", Text: "retry 1 of the next hop: connection refused", UntilUnixMs: now + 60_000}}
		o.Attempts = []*queuev1.LastAttempt{{Recipient: "olav@example.net", Attempts: 2, AtUnixMs: now - 60_000, Status: "4.2.1", Text: "450 4.2.1 later", Remote: "mx.example.net"}}
	case "ready":
		o.LeavesUnixMs, o.DelayNotified, o.DelayNoticeUnixMs, o.Connections = now-1000, false, now+3_600_000, 2
	case "frozen":
		o.Message.Hold, o.Message.State, o.AheadOpen = "hand", "frozen", true
		o.Blocks = []*queuev1.Block{{Kind: "frozen message", Text: "frozen by ada: look at it; `message thaw` lets it go"}}
	case "flying":
		o.InFlight, o.DeliverByUnixMs = true, now+600_000
	}
	return &queuev1.ShowResponse{Outlooks: []*queuev1.Outlook{o}, Missing: f.missing}, mood(ctx, r.GetMessage())
}

func (f fakeQueue) Dequeue(ctx context.Context, r *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	m := &queuev1.DequeueResponse{Connector: r.GetConnector(), Node: "oslo-1", Method: "ATRN", Remote: "mx.example.net [192.0.2.1]:366"}
	switch r.GetConnector() {
	case "full":
		m.Messages, m.Answers = 3, []*queuev1.DequeueAnswer{{What: "a.example,b.example", Code: 250, Text: "OK now reversing the connection"}}
	case "empty":
		m.Answers = []*queuev1.DequeueAnswer{{Code: 453, Text: "You have no mail"}}
	case "etrn":
		m.Method, m.Answers = "ETRN", []*queuev1.DequeueAnswer{{What: "a.example", Code: 253, Text: "OK, 7 pending messages"}, {What: "#q", Code: 459, Text: "not allowed"}}
	case "silent":
		m.Remote, m.Error = "", "mx.example.net [192.0.2.1]:366: the host is not responding: connection refused"
	}
	return m, mood(ctx, r.GetConnector())
}

// Act does to as many messages as were named. "stuck" ends early, "early" is not
// routed yet, "there" is on another node only.
func (f fakeQueue) Act(ctx context.Context, r *queuev1.ActRequest) (*queuev1.ActResponse, error) {
	if r.GetAction() == queuev1.Action_ACTION_RETRY {
		return f.force(ctx, r)
	}
	named := append(r.GetQueues(), r.GetMessages()...)
	res := &queuev1.ActResult{Node: f.name}
	for _, id := range named {
		switch id {
		case "stuck":
			res.Error = "disk full"
		case "early":
			res.Unrouted = append(res.Unrouted, id)
		case "there", "never":
			res.Unknown = append(res.Unknown, id)
		case "flying":
			res.Later++
		case "untold":
			res.Messages, res.Recipients, res.Untold = 3, 3, 2
		case "local":
			res.Refused = map[string]int64{"mail to servers takes the way of the map": 2}
		default:
			if err := mood(ctx, id); err != nil {
				return nil, err
			}
			res.Queues, res.Messages, res.Recipients, res.Bytes = res.Queues+1, res.Messages+2, res.Recipients+3, res.Bytes+4000
		}
	}
	switch r.GetLike().GetNextHop() {
	case "":
	case "never":
		res.Unknown = append(res.Unknown, "next hop never")
	default:
		res.Queues, res.Messages = 1, 4
	}
	if slices.Contains(named, "q8") && r.GetAction() == queuev1.Action_ACTION_THAW {
		res.Queues, res.Messages, res.Stays = 0, 0, map[string]string{"q8": "`queue thaw --next-hop mx.example`: frozen by ada"}
	}
	resp := &queuev1.ActResponse{Results: []*queuev1.ActResult{res}, Missing: f.missing}
	if r.GetAllNodes() {
		other := &queuev1.ActResult{Node: "oslo-1"}
		for _, id := range named {
			if id == "there" {
				other.Messages, other.Recipients, other.Bytes = 1, 1, 10
			} else {
				other.Unknown = append(other.Unknown, id)
			}
		}
		resp.Results = append(resp.Results, other)
	}
	return resp, nil
}

func (f fakeQueue) Outbound(ctx context.Context, r *queuev1.OutboundRequest) (*queuev1.OutboundResponse, error) {
	return &queuev1.OutboundResponse{Missing: f.missing, Results: []*queuev1.OutboundResult{
		{Node: f.name, Disabled: r.GetDisable(), Queues: 2, Messages: 5}, {Node: "oslo-1", Disabled: r.GetDisable(), WasDisabled: r.GetDisable()},
	}}, mood(ctx, r.GetNode())
}
