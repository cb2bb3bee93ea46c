package dequeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDue(t *testing.T) {
	night := &mail.Timetable{Name: "night"}
	for d := range 7 {
		for q := 22 * 4; q < 23*4; q++ {
			night.Open[d*96+q] = true
		}
	}
	day := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		task Task
		want []string // minutes of a day; "…" and the number where there are many
	}{
		"never by the clock":     {Task{}, nil},
		"six hours":              {Task{Interval: 6 * time.Hour}, []string{"00:00", "06:00", "12:00", "18:00"}},
		"a day":                  {Task{Interval: 24 * time.Hour}, []string{"00:00"}},
		"quarters, open at ten":  {Task{Interval: 15 * time.Minute, Open: night}, []string{"22:00", "22:15", "22:30", "22:45"}},
		"shut at every interval": {Task{Interval: 12 * time.Hour, Open: night}, nil},
		"never open":             {Task{Interval: time.Minute, Open: &mail.Timetable{}}, nil},
	} {
		var got []string
		for m := range 24 * 60 {
			if at := day.Add(time.Duration(m) * time.Minute); c.task.Due(at) {
				got = append(got, at.Format("15:04"))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		codes []int
		err   error
		want  string
	}{
		{[]int{250}, nil, "granted"}, {[]int{251}, nil, "no_mail"}, {[]int{253}, nil, "granted"}, {[]int{453}, nil, "no_mail"},
		{[]int{450}, nil, "refused"}, {[]int{459, 251}, nil, "refused"}, {[]int{459, 250}, nil, "granted"}, {nil, nil, "no_mail"},
		{[]int{250}, errors.New("lost"), "failed"},
	} {
		r := Report{Err: c.err}
		for _, k := range c.codes {
			r.Answers = append(r.Answers, Answer{Reply: mail.Reply{Code: k}})
		}
		if got := r.Outcome().String(); got != c.want {
			t.Errorf("%v, %v: %s, want %s", c.codes, c.err, got, c.want)
		}
	}
}

// desk is a provider's, in virtual time.
type desk struct {
	mu    sync.Mutex
	tasks []Task
	err   error
	takes time.Duration
	asked []string // when, since the start
	began time.Time
}

func (d *desk) config() Config {
	d.began = time.Now()
	return Config{
		Tasks: func() []Task { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.tasks) },
		Ask: func(ctx context.Context, t Task) Report {
			d.mu.Lock()
			d.asked = append(d.asked, fmt.Sprintf("%s %v", t.Name, time.Since(d.began)))
			takes, err := d.takes, d.err
			d.mu.Unlock()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				err = ctx.Err()
			}
			return Report{Err: err, Messages: 1}
		},
		Told: func(Report) {}, Now: time.Now,
	}
}

func (d *desk) set(f func()) { d.mu.Lock(); defer d.mu.Unlock(); f() }

func (d *desk) expect(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.asked, want) {
		t.Errorf("asked at %q, want %q", d.asked, want)
	}
	d.asked = nil
}

// One that takes longer than its interval is not asked twice at a time; one that
// fails is asked again, but not for ever.
func TestByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{tasks: []Task{{Connector: mail.GUID{1}, Name: "a", Interval: time.Hour}}, takes: 90 * time.Minute}
		f := New(d.config()) // synctest begins at midnight
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(4*time.Hour + time.Second)
		synctest.Wait()
		d.expect(t, "a 1h0m0s", "a 3h0m0s")
		d.set(func() { d.takes, d.err = 0, errors.New("silent") })
		time.Sleep(2 * time.Hour) // 6:00:01
		synctest.Wait()
		d.expect(t, "a 5h0m0s", "a 5h5m0s", "a 5h10m0s", "a 5h15m0s", "a 6h0m0s")
		d.set(func() { d.err = nil })
		time.Sleep(time.Hour)
		synctest.Wait()
		d.expect(t, "a 7h0m0s")
		d.set(func() { d.err = errors.New("silent"); d.takes = time.Hour })
		time.Sleep(time.Hour) // it is being asked when all ends
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.expect(t, "a 8h0m0s")
		if _, err := f.Now(t.Context(), d.tasks[0]); err == nil {
			t.Error("asks after the end")
		}
	})
}

// A failure is tried again though the clock was set back meanwhile.
func TestClockGoesBackAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{tasks: []Task{{Connector: mail.GUID{1}, Name: "a", Interval: 6 * time.Hour}}, err: errors.New("silent")}
		var off atomic.Int64
		c := d.config()
		c.Now = func() time.Time { return time.Now().Round(0).Add(time.Duration(off.Load())) }
		f := New(c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(6*time.Hour + time.Minute + time.Second)
		synctest.Wait()
		d.expect(t, "a 6h0m0s")
		off.Store(-int64(4 * time.Hour))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := d.count(); n == 0 {
			t.Error("it is not tried again")
		}
		cancel()
		<-done
	})
}

// A connector that was asked lately is not asked with each delivery; what "lately" means no
// clock that was set back can stretch.
func TestClockGoesBackAfterADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{tasks: []Task{{Connector: mail.GUID{1}, Name: "a", WithDelivery: true}}}
		var off atomic.Int64
		c := d.config()
		c.Now = func() time.Time { return time.Now().Round(0).Add(time.Duration(off.Load())) }
		f := New(c)
		defer f.stop()
		f.Delivered(mail.GUID{1})
		synctest.Wait()
		off.Store(-int64(4 * time.Hour))
		for range 2 { // the second is lately by the new clock
			time.Sleep(pause / 3)
			f.Delivered(mail.GUID{1})
			synctest.Wait()
		}
		d.expect(t, "a 0s", "a 20s")
	})
}

func (d *desk) count() int { d.mu.Lock(); defer d.mu.Unlock(); return len(d.asked) }

func TestWithDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{tasks: []Task{{Connector: mail.GUID{1}, Name: "a", WithDelivery: true}, {Connector: mail.GUID{2}, Name: "b"}}}
		f := New(d.config())
		defer f.stop()
		for range 5 { // a burst of connections asks once
			f.Delivered(mail.GUID{1})
			f.Delivered(mail.GUID{2})
			f.Delivered(mail.GUID{3})
		}
		time.Sleep(pause)
		f.Delivered(mail.GUID{1})
		synctest.Wait()
		d.expect(t, "a 0s", "a 1m0s")
	})
}

// Who asks by hand gets the report, or goes away while it goes on.
func TestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := Task{Connector: mail.GUID{1}, Name: "a"}
		d := &desk{takes: time.Minute}
		f := New(d.config())
		defer f.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Now(ctx, task); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		if _, err := f.Now(t.Context(), task); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute)
		if r, err := f.Now(t.Context(), task); err != nil || r.Messages != 1 || r.Err != nil || r.Task.Name != "a" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A clock that NTP slows down is not yet at the minute when the wait for it is over: a
// provider is asked once all the same.
func TestClockThatIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{tasks: []Task{{Connector: mail.GUID{1}, Name: "a", Interval: time.Hour}}, takes: time.Millisecond}
		c := d.config()
		c.Now = func() time.Time {
			passed := time.Since(d.began)
			return d.began.Add(passed - passed/2000)
		}
		f := New(c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(150 * time.Minute)
		cancel()
		<-done
		if len(d.asked) != 2 {
			t.Errorf("asked at %q, want two times", d.asked)
		}
	})
}
