package verify

import (
	"fmt"
	"slices"
	"testing"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

func list(entries ...*linkstatev1.TableEntry) *linkstatev1.ListResponse {
	return &linkstatev1.ListResponse{Entries: entries}
}

func words(changes []*linkstatev1.LinkChange) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s/%s %s %s: %s -> %s (%s)", c.GetGroup(), c.GetServer(), c.GetConnector(), c.GetWhat(), c.GetWas(), c.GetNow(), c.GetReason()))
	}
	return out
}

func TestChanges(t *testing.T) {
	a := func(change func(*linkstatev1.TableEntry)) *linkstatev1.TableEntry {
		e := &linkstatev1.TableEntry{
			Server: "a-1", Group: "a", Record: &linkstatev1.Record{Server: []byte{1}, Status: linkstatev1.Status_STATUS_ALIVE, Incarnation: 5},
			Connectors: []*linkstatev1.ConnectorEntry{{Connector: "k", Up: true}},
		}
		if change != nil {
			change(e)
		}
		return e
	}
	b := &linkstatev1.TableEntry{Server: "b-1", Group: "b", Record: &linkstatev1.Record{Server: []byte{2}, Status: linkstatev1.Status_STATUS_ALIVE, Incarnation: 1}}
	down := func(e *linkstatev1.TableEntry) { e.Connectors[0].Up, e.Connectors[0].Reason = false, "refused" }
	for _, k := range []struct {
		name          string
		before, after *linkstatev1.ListResponse
		want          []string
	}{
		{"nothing", list(a(nil), b), list(a(nil), b), nil},
		{"age and sequence are no change", list(a(nil)), list(a(func(e *linkstatev1.TableEntry) { e.AgeMs, e.Record.Sequence = 7, 9 })), nil},
		{"all", nil, list(a(nil)), []string{"a/a-1  incarnation:  -> 5 ()", "a/a-1  state:  -> alive ()", "a/a-1 k state:  -> up ()"}},
		{"down", list(a(nil)), list(a(down)), []string{"a/a-1 k state: up -> down (refused)"}},
		{"another reason", list(a(down)), list(a(func(e *linkstatev1.TableEntry) { down(e); e.Connectors[0].Reason = "timeout" })),
			[]string{"a/a-1 k state: down -> down (timeout)"}},
		{"suppressed", list(a(down)), list(a(func(e *linkstatev1.TableEntry) { down(e); e.Connectors[0].SuppressedUntilUnixMs = 1000 })),
			[]string{"a/a-1 k damping:  -> until 1970-01-01T00:00:01Z ()"}},
		{"accused and drained", list(a(nil), b), list(a(func(e *linkstatev1.TableEntry) {
			e.Record.Status, e.Record.Accuser, e.Record.Drain = linkstatev1.Status_STATUS_SUSPECT, []byte{2}, linkstatev1.Drain_DRAIN_HARD
		}), b), []string{"a/a-1  drain:  -> hard ()", "a/a-1  state: alive -> suspect (says b-1)"}},
		{"gone", list(a(nil), b), list(a(nil)), []string{"b/b-1  incarnation: 1 ->  ()", "b/b-1  state: alive ->  ()"}},
	} {
		if got := words(Changes(k.before, k.after)); !slices.Equal(got, k.want) {
			t.Errorf("%s: %q, want %q", k.name, got, k.want)
		}
	}
}
