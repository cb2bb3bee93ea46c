package systemd

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is the other end of the socket.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func heard(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4096)
	n, err := l.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestLife(t *testing.T) {
	for name, address := range map[string]string{"path": filepath.Join(t.TempDir(), "notify"), "abstract": "@" + t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			l := manager(t, address)
			m, err := Open(environment("NOTIFY_SOCKET="+address, "WATCHDOG_USEC=20000", "WATCHDOG_PID=7"), 7)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			m.Status("booting:\nREADY=1")
			m.Ready()
			for _, want := range []string{"STATUS=booting: READY=1", "READY=1\nSTATUS=ready"} {
				if got := heard(t, l); got != want {
					t.Errorf("heard %q, want %q", got, want)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); m.Live(ctx) }()
			for range 3 {
				if got := heard(t, l); got != "WATCHDOG=1" {
					t.Errorf("heard %q, want a sign of life", got)
				}
			}
			cancel()
			<-done
		})
	}
}

func TestNoManager(t *testing.T) {
	m, err := Open(environment("WATCHDOG_USEC=1"), 7)
	if m != nil || err != nil {
		t.Fatalf("%v, %v", m, err)
	}
	m.Ready()
	m.Stopping()
	m.Status("nobody hears this")
	m.Live(t.Context())
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// A service whose manager is gone goes on.
func TestManagerGone(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	l := manager(t, address)
	m, err := Open(environment("NOTIFY_SOCKET="+address), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l.Close()
	m.Stopping()
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		env  string
		want time.Duration
		err  string
	}{
		{"", 0, ""},
		{"WATCHDOG_USEC=120000000", 2 * time.Minute, ""},
		{"WATCHDOG_USEC=120000000 WATCHDOG_PID=7", 2 * time.Minute, ""},
		{"WATCHDOG_USEC=120000000 WATCHDOG_PID=8", 0, ""},
		{"WATCHDOG_USEC=0", 0, "WATCHDOG_USEC=0: must be microseconds"},
		{"WATCHDOG_USEC=-5", 0, "WATCHDOG_USEC=-5"},
		{"WATCHDOG_USEC=2min", 0, "WATCHDOG_USEC=2min"},
		{"WATCHDOG_USEC=9223372036854775807", 0, "at most a day"},
	} {
		got, err := watchdog(environment(strings.Fields(c.env)...), 7)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v; want %v, %q", c.env, got, err, c.want, c.err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"notify":                              "must begin with / or @",
		filepath.Join(t.TempDir(), "nowhere"): "nowhere",
		"vsock:2:1234":                        "must begin with / or @",
	} {
		if m, err := Open(environment("NOTIFY_SOCKET="+address), 7); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", address, m, err, want)
		}
	}
}
