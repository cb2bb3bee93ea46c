package route

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/routing"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestHistory(t *testing.T) {
	conf := configuration(t)
	r, h := New(), new(History)
	var got []Change
	note := func(version uint64, change func(*routing.Topology)) {
		top := topology("paris-1")
		top.Version = version
		if change != nil {
			change(&top)
		}
		r.Update(top, conf)
		if c, changed := h.Note(r, noon.Add(time.Duration(version)*time.Second), 3*time.Millisecond); changed {
			got = append([]Change{c}, got...)
		}
	}
	linkDown := func(top *routing.Topology) { top.Connectors[0].Bridgeheads[0].Up = false }
	note(1, nil)
	note(2, linkDown)
	note(3, linkDown) // nothing new
	note(4, func(top *routing.Topology) {
		linkDown(top)
		top.Connectors[0].Bridgeheads[1].Up = false
	})
	note(5, nil)

	want := []Change{
		{
			Version: 5, Time: noon.Add(5 * time.Second), Revision: 1, Took: 3 * time.Millisecond, Destinations: 8, Moved: 1,
			Triggers: []string{"connector paris-oslo: up at paris-1", "connector paris-oslo: up at paris-2"},
			Examples: []string{"server oslo-1: out over dns → oslo-1 over paris-oslo"},
		},
		{
			Version: 4, Time: noon.Add(4 * time.Second), Revision: 1, Took: 3 * time.Millisecond, Destinations: 8, Moved: 1,
			Triggers: []string{"connector paris-oslo: down at paris-2: refused"},
			Examples: []string{"server oslo-1: paris-2 → out over dns"},
		},
		{
			Version: 2, Time: noon.Add(2 * time.Second), Revision: 1, Took: 3 * time.Millisecond, Destinations: 8, Moved: 1,
			Triggers: []string{"connector paris-oslo: down at paris-1: refused"},
			Examples: []string{"server oslo-1: oslo-1 over paris-oslo → paris-2"},
		},
		{Version: 1, Time: noon.Add(time.Second), Revision: 1, Took: 3 * time.Millisecond, Triggers: []string{"first table of this process"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTriggers(t *testing.T) {
	conf := configuration(t)
	for _, c := range []struct {
		name   string
		change func(*routing.Topology)
		want   []string
		undone []string // the other way round
	}{
		{
			"server down", func(top *routing.Topology) {
				top.Servers[2].Up, top.Servers[2].Reason = false, "server is down, says paris-1"
			},
			[]string{"server oslo-1: server is down, says paris-1"}, []string{"server oslo-1: up"},
		},
		{
			"drain", func(top *routing.Topology) { top.Servers[1].Drain = routing.DrainSoft },
			[]string{"server paris-2: drained (soft)"}, []string{"server paris-2: no longer drained"},
		},
		{
			"cost", func(top *routing.Topology) {
				top.Connectors[0].Targets = []routing.Edge{{Group: guid("oslo"), Cost: 40}}
			},
			[]string{"connector paris-oslo: cost 40, was 10"}, []string{"connector paris-oslo: cost 10, was 40"},
		},
		{
			"disabled", func(top *routing.Topology) { top.Connectors[1].Disabled = true },
			[]string{"connector internet: disabled"}, []string{"connector internet: enabled"},
		},
		{
			"other setting", func(top *routing.Topology) { top.Connectors[1].Fallback = true },
			[]string{"connector internet: configured otherwise"}, []string{"connector internet: configured otherwise"},
		},
		{
			"bridgehead", func(top *routing.Topology) { top.Connectors[0].Bridgeheads = top.Connectors[0].Bridgeheads[:1] },
			[]string{"connector paris-oslo: paris-2 is no longer a bridgehead"}, []string{"connector paris-oslo: paris-2 became a bridgehead"},
		},
		{
			"removed", func(top *routing.Topology) { top.Connectors = top.Connectors[1:] },
			[]string{"connector paris-oslo: gone"}, []string{"connector paris-oslo: new"},
		},
		{
			"group", func(top *routing.Topology) {
				top.Groups = append(top.Groups, routing.Group{GUID: guid("x"), Name: "rome"})
			},
			[]string{"group rome: new"}, []string{"group rome: gone"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := topology("paris-1"), topology("paris-1")
			c.change(&after)
			a, b := newView(before, conf), newView(after, conf)
			if got := triggers(a, b); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if got := triggers(b, a); !slices.Equal(got, c.undone) {
				t.Errorf("undone: %q, want %q", got, c.undone)
			}
		})
	}
}

// TestTriggersAreBounded: a partition changes thousands of links at once.
func TestTriggersAreBounded(t *testing.T) {
	conf := configuration(t)
	before := topology("paris-1")
	after := topology("paris-1")
	for i := range 100 {
		after.Servers = append(after.Servers, routing.Server{GUID: routing.GUID{byte(i), 1}, Name: "s"})
	}
	got := triggers(newView(before, conf), newView(after, conf))
	if len(got) != listed+1 || got[listed] != "and 84 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestSupposition(t *testing.T) {
	top := topology("paris-1")
	keep := topology("paris-1")
	got, err := Supposition{
		Down:   []string{"paris-oslo"},
		Costs:  map[string]int{"dns": 7},
		Drains: map[string]routing.Drain{"paris-2": routing.DrainHard, "fax": routing.DrainSoft},
	}.Apply(top)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(top, keep) {
		t.Error("the map itself was changed")
	}
	for _, b := range got.Connectors[0].Bridgeheads {
		if b.Up || b.Reason == "" {
			t.Errorf("bridgehead of paris-oslo: %+v", b)
		}
	}
	if c := got.Connectors[2]; c.Targets[0].Cost != 7 || c.AddressSpaces[0].Cost != 7 || c.AddressSpaces[1].Cost != 7 {
		t.Errorf("dns: %+v", c)
	}
	if got.Servers[1].Drain != routing.DrainHard || got.Connectors[3].Drain != routing.DrainSoft {
		t.Errorf("drains: %v, %v", got.Servers[1].Drain, got.Connectors[3].Drain)
	}
}

func TestSuppositionRefuses(t *testing.T) {
	for _, s := range []Supposition{
		{Down: []string{"nowhere"}},
		{Costs: map[string]int{"nowhere": 1}},
		{Drains: map[string]routing.Drain{"nowhere": routing.DrainHard}},
		{Costs: map[string]int{"dns": 0}},
		{Costs: map[string]int{"dns": 101}},
	} {
		_, err := s.Apply(topology("paris-1"))
		if err == nil || !strings.Contains(err.Error(), "nowhere") && !strings.Contains(err.Error(), "1 to 100") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// Whatever in the map can move mail has a trigger: a table whose change nobody wrote
// down could not be asked for later. Only words may change without one.
func TestNothingMovesMailWithoutATrigger(t *testing.T) {
	conf := configuration(t)
	words := map[string]bool{"Server.Reason": true, "Bridgehead.Reason": true, "Bridgehead.SinceMS": true}
	down := func() routing.Topology {
		top := topology("paris-1")
		top.Servers[0].Up, top.Connectors[0].Bridgeheads[0].Up = false, false
		return top
	}
	for _, start := range []func() routing.Topology{func() routing.Topology { return topology("paris-1") }, down} {
		for _, part := range []func(*routing.Topology) reflect.Value{
			func(top *routing.Topology) reflect.Value { return reflect.ValueOf(&top.Groups[0]).Elem() },
			func(top *routing.Topology) reflect.Value { return reflect.ValueOf(&top.Servers[0]).Elem() },
			func(top *routing.Topology) reflect.Value { return reflect.ValueOf(&top.Connectors[0]).Elem() },
			func(top *routing.Topology) reflect.Value {
				return reflect.ValueOf(&top.Connectors[0].Bridgeheads[0]).Elem()
			},
		} {
			before := start()
			kind := part(&before).Type()
			for i := range kind.NumField() {
				after := start()
				name := kind.Name() + "." + kind.Field(i).Name
				if field := part(&after).Field(i); !disturb(field) {
					t.Fatalf("%s: the test cannot change it", name)
				}
				got := triggers(newView(before, conf), newView(after, conf))
				if (len(got) == 0) != words[name] && name != "Group.Name" && name != "Server.Name" && name != "Connector.Name" {
					t.Errorf("%s changed: %q", name, got)
				}
			}
		}
	}
}

// disturb gives a field another value.
func disturb(f reflect.Value) bool {
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Int, reflect.Int64:
		f.SetInt(f.Int() + 1)
	case reflect.Uint8:
		f.SetUint(f.Uint() + 1)
	case reflect.Array:
		f.Index(0).SetUint(f.Index(0).Uint() + 1)
	case reflect.Slice:
		f.Set(reflect.Append(f, reflect.Zero(f.Type().Elem())))
	case reflect.Map:
		m := reflect.MakeMap(f.Type())
		m.SetMapIndex(reflect.Zero(f.Type().Key()), reflect.ValueOf(2))
		f.Set(m)
	default:
		return false
	}
	return true
}
