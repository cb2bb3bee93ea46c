// Package systemd tells the service manager how a service fares: sd_notify(3), a
// datagram to the socket that systemd, or whoever speaks its protocol, put into the
// environment.
package systemd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Manager is the service manager. Nil stands for none, and is told nothing.
type Manager struct {
	conn *net.UnixConn
	// watchdog is how long the manager waits for a sign of life; 0: it does not.
	watchdog time.Duration
}

// Open reads the environment of the process whose ID is pid; without a NOTIFY_SOCKET
// there is no manager. Variables that cannot mean anything are an error that names them.
func Open(getenv func(string) string, pid int) (*Manager, error) {
	address := getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil, nil
	}
	// A path, or "@" and an abstract name, which package net writes in the same way.
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s: must begin with / or @; start without it, or with Type=exec", address)
	}
	watchdog, err := watchdog(getenv, pid)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w; start without it, or with Type=exec", err)
	}
	return &Manager{conn, watchdog}, nil
}

// watchdog is sd_watchdog_enabled(3): another process's time is not ours.
func watchdog(getenv func(string) string, pid int) (time.Duration, error) {
	text := getenv("WATCHDOG_USEC")
	if of := getenv("WATCHDOG_PID"); text == "" || of != "" && of != strconv.Itoa(pid) {
		return 0, nil
	}
	µs, err := strconv.ParseInt(text, 10, 64)
	if err != nil || µs <= 0 || µs > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC=%s: must be microseconds, at most a day", text)
	}
	return time.Duration(µs) * time.Microsecond, nil
}

// Ready ends the start: `systemctl start` returns.
func (m *Manager) Ready() { m.tell("READY=1", "STATUS=ready") }

// Stopping begins the stop.
func (m *Manager) Stopping() { m.tell("STOPPING=1", "STATUS=stopping: what is in flight is finished") }

// Status is a line for `systemctl status`.
func (m *Manager) Status(text string) { m.tell("STATUS=" + strings.ReplaceAll(text, "\n", " ")) }

// Live gives a sign of life twice in each time of the watchdog until ctx ends. It says
// that the process runs at all; without a watchdog it returns at once.
func (m *Manager) Live(ctx context.Context) {
	if m == nil || m.watchdog == 0 {
		return
	}
	t := time.NewTicker(m.watchdog / 2)
	defer t.Stop()
	for {
		m.tell("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Close lets go of the socket; nothing may be told any more.
func (m *Manager) Close() error {
	if m == nil {
		return nil
	}
	return m.conn.Close()
}

// tell ignores errors: a manager that is restarting or hears nothing is no reason to
// carry no mail.
func (m *Manager) tell(lines ...string) {
	if m == nil {
		return
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = m.conn.Write([]byte(strings.Join(lines, "\n")))
}
