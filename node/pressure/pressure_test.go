package pressure

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

func TestLevelsHaveHysteresis(t *testing.T) {
	type step struct {
		value int64
		want  Level
	}
	for r, steps := range map[Resource][]step{
		Disk:     {{2 << 30, Normal}, {2<<30 - 1, Medium}, {2<<30 + 2<<28 - 1, Medium}, {512<<20 - 1, High}, {640<<20 - 1, High}, {640 << 20, Medium}, {2<<30 + 2<<28 - 1, Medium}, {2<<30 + 2<<28, Normal}, {0, High}, {Unknown, Normal}},
		Inodes:   {{5_00, Normal}, {4_99, Medium}, {6_24, Medium}, {1_99, High}, {2_49, High}, {2_50, Medium}, {6_25, Normal}},
		Memory:   {{74_99, Normal}, {75_00, Medium}, {67_50, Medium}, {85_00, High}, {76_50, High}, {76_49, Medium}, {67_49, Normal}},
		Messages: {{749_999, Normal}, {750_000, Medium}, {1_000_000, High}, {900_000, High}, {899_999, Medium}, {675_000, Medium}, {674_999, Normal}, {1 << 40, High}},
	} {
		var g Gauge
		for i, s := range steps {
			sample := Sample{Unknown, Unknown, Unknown, Unknown}
			sample[r] = s.value
			g.Judge(usual(), sample)
			if got := g.Of(r); got != s.want {
				t.Errorf("%s, step %d, %d: %s, want %s", r, i, s.value, got, s.want)
			}
			if level, at := g.Level(); level != s.want || level > Normal && at != r {
				t.Errorf("%s, step %d: in all %s of %s", r, i, level, at)
			}
		}
	}
}

// A threshold near all that there is can be left, too.
func TestHighThresholdsAreLeft(t *testing.T) {
	limits := usual()
	limits[Inodes] = Threshold{90_00, 85_00}
	var g Gauge
	for i, s := range []struct {
		free int64
		want Level
	}{
		{89_99, Medium}, {94_99, Medium}, {95_00, Normal}, {84_99, High}, {92_49, High}, {92_50, Medium}, {95_00, Normal},
	} {
		g.Judge(limits, Sample{Unknown, s.free, Unknown, Unknown})
		if got := g.Of(Inodes); got != s.want {
			t.Errorf("step %d, %d: %s, want %s", i, s.free, got, s.want)
		}
	}
}

// Whatever is measured, a level is entered exactly beyond its threshold, and never
// left on the wrong side of it; each change is told once.
func TestGaugeHoldsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g Gauge
		var told [resources]Level
		l := usual()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var s Sample
			for r := range s {
				s[r] = rapid.SampledFrom([]int64{Unknown, 0, l[r].High - 1, l[r].High, l[r].High + 1, l[r].Medium - 1, l[r].Medium, l[r].Medium + 1, 1 << 50}).Draw(t, "value")
			}
			for _, c := range g.Judge(l, s) {
				if c.From != told[c.Resource] || c.To == c.From {
					t.Fatalf("%+v was told, the level was %s", c, told[c.Resource])
				}
				told[c.Resource] = c.To
			}
			for _, r := range Resources() {
				beyond := func(threshold int64) bool {
					return s[r] != Unknown && (r.grows() && s[r] >= threshold || !r.grows() && s[r] < threshold)
				}
				switch got := g.Of(r); {
				case got != told[r]:
					t.Fatalf("%s is %s, told was %s", r, got, told[r])
				case beyond(l[r].High) && got != High, beyond(l[r].Medium) && got == Normal:
					t.Fatalf("%s at %d is %s", r, s[r], got)
				}
			}
		}
	})
}

func TestSamplerTakesLimitsAsTheyAre(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	limits, sample := usual(), Sample{1 << 40, 50_00, 10_00, 5}
	s := New(Config{Measure: func() Sample { return sample }, Limits: func() Limits { return limits }, Logger: zap.New(core)})
	if level, _ := s.Level(); level != Normal || logs.Len() != 0 {
		t.Errorf("%s, %d lines", level, logs.Len())
	}
	limits[Messages] = Threshold{3, 5}
	s.Look()
	s.Look()
	if level, r := s.Level(); level != High || r != Messages {
		t.Errorf("%s of %s", level, r)
	}
	want := State{Messages, High, 5, Threshold{3, 5}}
	if !slices.Contains(s.States(), want) {
		t.Errorf("states %+v, want %+v", s.States(), want)
	}
	sample[Messages] = 0
	s.Look()
	if got := logs.FilterMessage("pressure_changed").Len(); got != 2 {
		t.Errorf("%d lines for two changes", got)
	}
}

func TestMemoryIsThatOfTheTightestLimit(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := memoryUsed(root); got != Unknown {
		t.Errorf("without /proc: %d", got)
	}
	pages := int64(1<<30) / int64(os.Getpagesize())
	write("proc/self/statm", "999999 "+strconv.FormatInt(pages, 10)+" 0 0 0 0 0\n")
	write("proc/meminfo", "MemTotal:        4194304 kB\nMemFree: 1 kB\n")
	if got := memoryUsed(root); got != 25_00 {
		t.Errorf("of the machine's memory: %d", got)
	}
	write("proc/self/cgroup", "0::/mail/node\n")
	write("sys/fs/cgroup/mail/node/memory.max", "max\n")
	write("sys/fs/cgroup/mail/memory.max", strconv.FormatInt(2<<30, 10)+"\n")
	if got := memoryUsed(root); got != 50_00 {
		t.Errorf("of the cgroup's memory: %d", got)
	}
	if MemoryUsed() == 0 || InodesFree("/nowhere") != Unknown {
		t.Error("this process uses no memory, or a folder that is not there has inodes")
	}
}

// usual are the thresholds of a server that says nothing.
func usual() Limits {
	return Limits{
		Disk:     {2 << 30, 512 << 20},
		Inodes:   {5_00, 2_00},
		Memory:   {75_00, 85_00},
		Messages: {750_000, 1_000_000},
	}
}
