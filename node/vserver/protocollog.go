package vserver

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/smtpd"
	"github.com/postroad/postroad/node/w3clog"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Defaults of a protocol log.
const (
	defaultLogKeep = 30
	defaultLogSize = 20 << 20 // for rotation by size
)

func defaultLogFields() []string {
	return []string{
		"date", "time", "c-ip", "cs-username", "s-port", "cs-method", "cs-uri-query", "sc-status", "sc-bytes", "cs-bytes", "time-taken",
	}
}

// logConfig is what the directory says of the log of a virtual server.
func logConfig(l *directoryv1.ProtocolLog, data, name string) w3clog.Config {
	c := w3clog.Config{
		Folder:  firstOf(l.GetDirectory(), filepath.Join(data, "protocol", name)),
		Fields:  l.GetFields(),
		MaxSize: l.GetMaxSize(),
		Keep:    firstOf(int(l.GetKeep()), defaultLogKeep),
	}
	if len(c.Fields) == 0 {
		c.Fields = defaultLogFields()
	}
	switch l.GetRotation() {
	case directoryv1.LogRotation_LOG_ROTATION_HOURLY:
		c.Rotation = w3clog.Hourly
	case directoryv1.LogRotation_LOG_ROTATION_SIZE:
		c.Rotation = w3clog.BySize
		c.MaxSize = firstOf(c.MaxSize, defaultLogSize)
	}
	return c
}

func sameLog(a, b w3clog.Config) bool {
	fields := slices.Equal(a.Fields, b.Fields)
	a.Fields, b.Fields = nil, nil
	return fields && a.Folder == b.Folder && a.Rotation == b.Rotation && a.MaxSize == b.MaxSize && a.Keep == b.Keep
}

// follow opens, changes or closes the protocol log. One that cannot be written
// is a fault, and no reason to refuse mail; the one before goes on.
func (v *virtual) follow(l *directoryv1.ProtocolLog) {
	v.logFault = nil
	old := v.protocol.Load()
	if !l.GetEnabled() {
		v.protocol.Store(nil)
		v.shutLog(old)
		return
	}
	c := logConfig(l, v.deps.Data, v.name)
	if old != nil && sameLog(v.logged, c) {
		return
	}
	next, err := w3clog.Open(c, time.Now, v.log)
	if err != nil {
		v.logFault = err
		return
	}
	v.logged = c
	v.protocol.Store(next)
	v.shutLog(old)
}

// writeFault is why the open log loses records now.
func (v *virtual) writeFault() error {
	if l := v.protocol.Load(); l != nil {
		return l.Fault()
	}
	return nil
}

func (v *virtual) shutLog(l *w3clog.Log) {
	if l != nil {
		if err := l.Close(); err != nil {
			v.log.Error("protocol_log_failed", zap.Error(err))
		}
	}
}

// Observing implements smtpd.Observer: errors are counted in any case.
func (v *virtual) Observing() bool { return true }

// Observe implements smtpd.Observer. A greeting is a record only if it turned the
// client away.
func (v *virtual) Observe(c *smtpd.Conn, e smtpd.Exchange) {
	if e.Code >= 400 {
		v.metrics.replies.WithLabelValues(v.name, strconv.Itoa(e.Code)).Inc()
	}
	l := v.protocol.Load()
	if l == nil || e.Verb == "" && e.Code == 220 {
		return
	}
	l.Add(&w3clog.Record{
		Time: time.Now(), Client: addrPort(c.RemoteAddr()), Local: addrPort(c.LocalAddr()), Hello: c.Hostname(), Account: accountOf(c),
		VirtualServer: v.name, Server: v.rules.Load().fqdn, Verb: firstOf(e.Verb, "CONNECT"), Argument: e.Argument,
		Code: e.Code, Received: e.Received, Sent: e.Sent, Took: e.Took, Protocol: c.Protocol(false),
	})
}

// accountOf is whom the session of a connection has authenticated as.
func accountOf(c *smtpd.Conn) string {
	switch s := c.Session().(type) {
	case *session:
		return s.client.account
	case verifyingSession:
		return s.client.account
	}
	return ""
}

func addrPort(a net.Addr) netip.AddrPort {
	p, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
