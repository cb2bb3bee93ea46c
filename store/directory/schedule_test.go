package directory

import (
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestReadSchedule(t *testing.T) {
	for open, want := range map[string][]string{ // hours that are open, by day
		"":                               nil,
		"08:00-10:00":                    {"Mon 8", "Mon 9", "Tue 8", "Tue 9", "Wed 8", "Wed 9", "Thu 8", "Thu 9", "Fri 8", "Fri 9", "Sat 8", "Sat 9", "Sun 8", "Sun 9"},
		"Mon 00:00-24:00":                hours("Mon", 0, 24),
		"Sun 22:00-02:00":                {"Mon 0", "Mon 1", "Sun 22", "Sun 23"},
		"Sat-Mon 05:00-06:00":            {"Mon 5", "Sat 5", "Sun 5"},
		"Tue,Thu 05:00-06:00":            {"Tue 5", "Thu 5"},
		"Tue 05:00-06:00;Tue 05:00-7:00": nil, // not an hour of four digits
	} {
		var spec directoryv1.Schedule
		if open != "" {
			spec.Open = strings.Split(open, ";")
		}
		w, err := ReadSchedule("s", &spec)
		if strings.Contains(open, ";") {
			if err == nil {
				t.Errorf("%s: passed", open)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", open, err)
			continue
		}
		var got []string
		for q := 0; q < weekQuarters; q += 4 {
			if w.Open[q] {
				got = append(got, hours([]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[q/96], q%96/4, q%96/4+1)...)
			}
			for i := range 4 {
				if w.Open[q+i] != w.Open[q] {
					t.Errorf("%s: quarter %d of an hour that is whole", open, i)
				}
			}
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: open %q, want %q", open, got, want)
		}
	}
}

func hours(day string, from, to int) []string {
	var out []string
	for h := from; h < to; h++ {
		out = append(out, day+" "+[...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23"}[h])
	}
	return out
}

func TestOpening(t *testing.T) {
	objs, err := DecodeYAML(strings.NewReader(`
{kind: Schedule, name: night, guid: 00000000-0000-4000-8000-000000000001, spec: {timeZone: Europe/Paris, open: ["22:00-06:00"]}}
---
{kind: SMTPConnector, name: a, guid: 00000000-0000-4000-8000-00000000000a, spec: {schedule: night, oversizeSchedule: never, remoteTriggered: true}}
---
{kind: SMTPConnector, name: b, guid: 00000000-0000-4000-8000-00000000000b, spec: {schedule: always}}
---
{kind: ForeignConnector, name: c, guid: 00000000-0000-4000-8000-00000000000c, spec: {schedule: gone, oversizeSchedule: always, oversizeThreshold: 5}}
`), "t")
	if err != nil {
		t.Fatal(err)
	}
	conf, err := NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	at := func(last byte) Opening {
		g := GUID{6: 0x40, 8: 0x80, 15: last}
		return conf.Opening(g)
	}
	a, b, c := at(10), at(11), at(12)
	if a.Week == nil || a.Week.Name != "night" || a.Week.Location.String() != "Europe/Paris" || a.Oversize == nil || a.Threshold != DefaultOversize || !a.Remote {
		t.Errorf("a: %+v", a)
	}
	if b.Week != nil || b.Threshold != 0 || b.Remote {
		t.Errorf("b: %+v", b)
	}
	if c.Week == nil || c.Oversize != nil || c.Threshold != 5 {
		t.Errorf("c: %+v", c)
	}
}
