package load

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)

func TestFlows(t *testing.T) {
	c := New(noon)
	berlin, net := Purpose{Connector: "paris-berlin", Group: "berlin"}, Purpose{Connector: "internet", Space: "SMTP:*.net"}
	c.Sent(berlin, 100, true, noon)
	c.Sent(berlin, 50, false, noon.Add(time.Hour))
	c.Sent(net, 7, true, noon.Add(23*time.Hour))
	for _, k := range []struct {
		after time.Duration
		want  []Flow
	}{
		{0, []Flow{{berlin, Count{1, 100, 1, 100}}}},
		{time.Hour, []Flow{{berlin, Count{2, 150, 1, 100}}}},
		{23 * time.Hour, []Flow{{net, Count{1, 7, 1, 7}}, {berlin, Count{2, 150, 1, 100}}}},
		{24 * time.Hour, []Flow{{net, Count{1, 7, 1, 7}}, {berlin, Count{1, 50, 0, 0}}}},
		{25 * time.Hour, []Flow{{net, Count{1, 7, 1, 7}}}},
		{48 * time.Hour, nil},
	} {
		if got := c.Flows(noon.Add(k.after)); !slices.Equal(got, k.want) {
			t.Errorf("after %v: %v, want %v", k.after, got, k.want)
		}
	}
	if got, want := c.Since(noon.Add(time.Hour)), noon.Truncate(time.Hour); !got.Equal(want) {
		t.Errorf("since %v, want %v", got, want)
	}
	if got, want := c.Since(noon.Add(48*time.Hour)), noon.Truncate(time.Hour).Add(25*time.Hour); !got.Equal(want) {
		t.Errorf("since %v, want %v", got, want)
	}
}

// Whatever is sent when, the counter agrees with a list of all that was sent, and
// so does one that was restored from its file in between.
func TestCountsLikeAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type sent struct {
			hour int64
			p    Purpose
			n    Count
		}
		var list []sent
		c, now := New(noon), noon
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "minutes")) * time.Minute)
			p := Purpose{Connector: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "connector"), Group: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "group")}
			octets, entered := int64(rapid.IntRange(0, 1000).Draw(t, "octets")), rapid.Bool().Draw(t, "entered")
			c.Sent(p, octets, entered, now)
			n := Count{Messages: 1, Bytes: octets}
			if entered {
				n.Entered, n.EnteredBytes = 1, octets
			}
			list = append(list, sent{hourOf(now), p, n})
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				file, err := c.File(now)
				if err != nil {
					t.Fatal(err)
				}
				c = New(now)
				if err := c.Restore(file, now); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := make(map[Purpose]Count)
		for _, s := range list {
			if s.hour > hourOf(now)-Hours {
				n := want[s.p]
				n.add(s.n)
				want[s.p] = n
			}
		}
		got := make(map[Purpose]Count)
		for _, f := range c.Flows(now) {
			got[f.Purpose] = f.Count
		}
		if !maps.Equal(got, want) {
			t.Fatalf("counted %v, want %v", got, want)
		}
	})
}

// A node that sends to very many places counts them together rather than grow.
func TestBounded(t *testing.T) {
	c := New(noon)
	const sent = 3 * maxSeries
	for i := range sent {
		c.Sent(Purpose{Connector: fmt.Sprint("k", i%7), Space: fmt.Sprint("SMTP:", i)}, 1, true, noon)
	}
	if len(c.series) > maxSeries+1 {
		t.Errorf("%d series", len(c.series))
	}
	total := int64(0)
	for _, f := range c.Flows(noon) {
		total += f.Messages
	}
	if total != sent {
		t.Errorf("counted %d of %d", total, sent)
	}
	// A day later what is old makes room.
	later := noon.Add(25 * time.Hour)
	c.Sent(Purpose{Connector: "k", Space: "new"}, 1, true, later)
	if len(c.series) != 1 {
		t.Errorf("%d series after a day", len(c.series))
	}
}

func TestFile(t *testing.T) {
	c := New(noon)
	if b, err := c.File(noon); b != nil || err != nil {
		t.Errorf("nothing was counted, and %d octets are kept: %v", len(b), err)
	}
	c.Sent(Purpose{Connector: "k", Group: "g"}, 9, true, noon)
	file, err := c.File(noon)
	if err != nil || file == nil {
		t.Fatal(err)
	}
	if again, _ := c.File(noon); again != nil {
		t.Error("nothing changed, and the file is written again")
	}
	if err := New(noon).Restore([]byte("no file of mine"), noon); err == nil {
		t.Error("nonsense was restored")
	}
	old := New(noon.Add(-time.Hour))
	if err := old.Restore(file, noon.Add(-time.Hour)); err != nil || len(old.Flows(noon)) != 0 {
		t.Errorf("an hour that is yet to come was restored: %v, %v", old.Flows(noon), err)
	}
}

func FuzzRestore(f *testing.F) {
	c := New(noon)
	c.Sent(Purpose{Connector: "k", Group: "g"}, 9, true, noon)
	file, _ := c.File(noon)
	f.Add(file)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := New(noon)
		if c.Restore(b, noon) == nil {
			c.Flows(noon)
			if _, err := c.File(noon); err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkSent(b *testing.B) {
	c := New(noon)
	p := Purpose{Connector: "paris-berlin", Group: "berlin"}
	b.ReportAllocs()
	for b.Loop() {
		c.Sent(p, 10240, true, noon)
	}
}
