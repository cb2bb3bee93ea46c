package gossip

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

func someState() state {
	return state{time.UnixMilli(1_800_000_000_123), []*linkstate.Record{
		{Server: linkstate.GUID{1}, Incarnation: 7, Sequence: 2, Status: linkstate.Down, Accuser: linkstate.GUID{2}, Version: "1", Unknown: []byte{0x98, 0x06, 0x01}},
		{Server: linkstate.GUID{2}, Incarnation: 1, Status: linkstate.Alive,
			Connectors: []linkstate.ConnectorState{{Connector: linkstate.GUID{3}, Down: true, Since: 5, Reason: "refused"}}},
	}}
}

func TestStateRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "linkstate")
	if s, err := loadState(path); err != nil || len(s.records) != 0 {
		t.Fatalf("a file that is not there: %+v, %v", s, err)
	}
	want := someState()
	for range 2 { // the second replaces the first
		if err := saveState(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := loadState(path)
	if err != nil || !got.at.Equal(want.at) || !reflect.DeepEqual(got.records, want.records) {
		t.Errorf("saved %+v, loaded %+v, %v", want, got, err)
	}
}

// Every single damaged byte and every truncation is noticed.
func TestDamagedState(t *testing.T) {
	whole, err := encodeState(someState())
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if _, err := decodeState(whole[:i]); err == nil {
			t.Fatalf("cut to %d bytes and accepted", i)
		}
		if i >= len(stateFormat) && i < len(stateFormat)+8 {
			continue // the time; a wrong age does no harm
		}
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x40
		if _, err := decodeState(bad); err == nil {
			t.Fatalf("byte %d damaged and accepted", i)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	whole, err := encodeState(someState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeState(b); err == nil {
			if _, err := encodeState(s); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func testConfig() Config {
	return Config{Self: serverA, Organization: organization, Probe: func(context.Context, mail.GUID, mail.GUID) error { return nil }}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	c := testConfig()
	c.StatePath = filepath.Join(t.TempDir(), "linkstate")
	if err := os.WriteFile(c.StatePath, []byte("something else entirely"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Table().Len() != 0 {
		t.Error("records out of nowhere")
	}
	kept, err := os.ReadFile(c.StatePath + ".damaged")
	if err != nil || string(kept) != "something else entirely" {
		t.Errorf("the damaged file is not kept: %q, %v", kept, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no self":         func(c *Config) { c.Self = mail.GUID{} },
		"no organization": func(c *Config) { c.Organization = mail.GUID{} },
		"no probe":        func(c *Config) { c.Probe = nil },
		"no identity":     func(c *Config) { newPKI(t).secure(serverA, c); c.Identify = nil },
	} {
		c := testConfig()
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIncarnationExceedsTheSavedOne(t *testing.T) {
	c := testConfig()
	c.StatePath = filepath.Join(t.TempDir(), "linkstate")
	c.Now = func() time.Time { return time.Unix(1000, 0) } // a clock that was set back
	saved := state{time.Unix(5000, 0), []*linkstate.Record{{Server: linkstate.GUID(serverA), Incarnation: 5000, Status: linkstate.Alive}}}
	if err := saveState(c.StatePath, saved); err != nil {
		t.Fatal(err)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := members()
	m.Self = linkstate.GUID(serverA)
	r.SetMembers(m, demoTimings, nil)
	if got := r.Table().Get(linkstate.GUID(serverA)).Incarnation; got != 5001 {
		t.Errorf("incarnation %d, want 5001", got)
	}
}

func TestSubscribe(t *testing.T) {
	r, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	told := make(chan uint64, 10)
	stop := r.Subscribe(func() { told <- r.Table().Version() })
	m := members()
	m.Self = linkstate.GUID(serverA)
	r.SetMembers(m, demoTimings, nil)
	if v := <-told; v == 0 {
		t.Error("told of an empty table")
	}
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestJitter(t *testing.T) {
	d := 100 * time.Millisecond
	for name, c := range map[string]struct {
		random func(int) int
		want   time.Duration
	}{
		"least": {func(n int) int { return n - 1 }, d / 2},
		"most":  {func(int) int { return 0 }, d},
	} {
		if got := jitter(d, c.random); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPlain(t *testing.T) {
	if err := errors.New("x"); plain(err) != err {
		t.Error("an error that is not gRPC's was changed")
	}
}
