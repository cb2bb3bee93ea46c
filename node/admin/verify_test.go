package admin

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// knowing is a node with a table of its own.
type knowing struct {
	*fakeNode
	entries []*linkstatev1.TableEntry
}

func (k knowing) LinkState() *linkstatev1.ListResponse {
	return &linkstatev1.ListResponse{Node: k.name, Digest: k.digest, Entries: k.entries}
}

func (k knowing) Checks([]*topologyv1.TrafficResponse) []*linkstatev1.Check {
	return []*linkstatev1.Check{{Name: "map of " + k.name, Result: linkstatev1.CheckResult_CHECK_RESULT_PASS}}
}

func knows(n *fakeNode, entries ...*linkstatev1.TableEntry) func(*Config) {
	return func(c *Config) { c.Node = knowing{n, entries} }
}

func tableEntry(name string, status linkstatev1.Status, accuser string) *linkstatev1.TableEntry {
	return &linkstatev1.TableEntry{Server: name, Record: &linkstatev1.Record{Server: []byte(name), Status: status, Accuser: []byte(accuser)}}
}

func TestLinkStateJudged(t *testing.T) {
	const alive, down = linkstatev1.Status_STATUS_ALIVE, linkstatev1.Status_STATUS_DOWN
	w := newWorld(t)
	there := &fakeNode{name: "oslo", digest: "bb"}
	oslo := w.start(there, knows(there, tableEntry("paris", alive, ""), tableEntry("oslo", alive, "")))
	here := &fakeNode{name: "paris", digest: "aa", peers: []Peer{{"oslo", oslo.address}, {"gone", closed(t)}}}
	// What differs is asked again before it is said to differ.
	paris := w.start(here, impatient, func(c *Config) { c.SettleWithin = 50 * time.Millisecond }, knows(here, tableEntry("paris", alive, ""), tableEntry("oslo", down, "paris")))
	c := linkstatev1.NewLinkStateServiceClient(w.local(paris))

	got, err := c.Get(t.Context(), &linkstatev1.GetRequest{Server: "oslo"})
	if err != nil || got.GetNode() != "paris" || got.GetAccuser() != "paris" || got.GetEntry().GetRecord().GetStatus() != down {
		t.Errorf("get oslo: %v, %v", got, err)
	}
	_, err = c.Get(t.Context(), &linkstatev1.GetRequest{Server: "rome"})
	requireCode(t, err, codes.NotFound)

	diff, err := c.Diff(t.Context(), &linkstatev1.DiffRequest{NodeA: "paris", NodeB: "oslo"})
	if err != nil || len(diff.GetDifferences()) != 2 || diff.GetDigestA() != "aa" || diff.GetDigestB() != "bb" ||
		diff.GetDifferences()[0].GetValueA() != "down" || diff.GetDifferences()[0].GetValueB() != "alive" {
		t.Errorf("diff: %v, %v", diff, err)
	}
	_, err = c.Diff(t.Context(), &linkstatev1.DiffRequest{NodeA: "paris", NodeB: "rome"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Diff(t.Context(), &linkstatev1.DiffRequest{NodeA: "gone", NodeB: "paris"})
	requireCode(t, err, codes.Unavailable)

	v, err := c.Validate(t.Context(), &linkstatev1.ValidateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	failed := 0
	for _, k := range v.GetChecks() {
		names = append(names, k.GetName())
		if k.GetResult() == linkstatev1.CheckResult_CHECK_RESULT_FAIL {
			failed++
		}
	}
	// One node is silent and two tables differ; the map is judged where it was asked.
	if !slices.Contains(names, "map of paris") || failed != 2 {
		t.Errorf("checks %v, %d failed, want 2: %v", names, failed, v)
	}
}
