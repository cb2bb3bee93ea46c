package deliver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listFeed gives what it was filled with, then ends. It checks that each
// transaction is reported once, with one outcome for each target.
type listFeed struct {
	t    testing.TB
	mu   sync.Mutex
	todo []*mail.Transaction
	out  map[*mail.Transaction]bool // true: reported
	got  map[string]mail.Outcome    // by recipient
	idle func() bool                // what Wait does; nil: end
}

func newFeed(t testing.TB, list ...*mail.Transaction) *listFeed {
	return &listFeed{t: t, todo: list, out: map[*mail.Transaction]bool{}, got: map[string]mail.Outcome{}}
}

func (f *listFeed) Next() *mail.Transaction {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.todo) == 0 {
		return nil
	}
	t := f.todo[0]
	f.todo = f.todo[1:]
	f.out[t] = false
	return t
}

func (f *listFeed) Wait(time.Duration) bool {
	f.mu.Lock()
	idle := f.idle
	f.mu.Unlock()
	return idle != nil && idle()
}

func (f *listFeed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if reported, taken := f.out[t]; !taken || reported {
		f.t.Errorf("transaction to %v: Done twice, or never taken", t.Targets[0].Address)
	}
	f.out[t] = true
	if len(outcomes) != len(t.Targets) {
		f.t.Errorf("%d outcomes for %d targets", len(outcomes), len(t.Targets))
		return
	}
	for i, o := range outcomes {
		if o.Status.IsZero() || o.At.IsZero() {
			f.t.Errorf("%v: outcome without status or time: %+v", t.Targets[i].Address, o)
		}
		f.got[t.Targets[i].Address.String()] = o
	}
}

// check fails the test for transactions taken and not reported, and gives the
// results by recipient: "delivered 2.1.5".
func (f *listFeed) check() map[string]string {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, reported := range f.out {
		if !reported {
			f.t.Errorf("transaction to %v was taken and never reported", t.Targets[0].Address)
		}
	}
	short := map[string]string{}
	for a, o := range f.got {
		short[a] = o.Result.String() + " " + o.Status.String()
	}
	return short
}

func (f *listFeed) expect(want map[string]string) {
	f.t.Helper()
	got := f.check()
	for a, w := range want {
		if got[a] != w {
			f.t.Errorf("%s: %q, want %q (%s)", a, got[a], w, f.got[a].Text)
		}
	}
	if len(got) != len(want) {
		f.t.Errorf("outcomes %v, want %v", got, want)
	}
}

const body = "From: a@a.example\r\nSubject: test\r\n\r\nhello\r\n.dot\r\n..two\r\n.\r\nend\r\n"

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func message(text string, to ...string) *mail.Transaction {
	env := &mail.Envelope{ID: mail.NewID(time.UnixMilli(1), [10]byte{byte(len(text))}), Received: time.Unix(1, 0), From: address("a@a.example"), Size: int64(len(text))}
	t := &mail.Transaction{Envelope: env, Content: inMemory(text), Attempt: 1}
	for i, a := range to {
		env.Recipients = append(env.Recipients, mail.Recipient{Address: address(a)})
		t.Targets = append(t.Targets, mail.Target{Address: address(a), Recipient: i})
	}
	return t
}

// many makes n messages to u0@x.example, u1@x.example and so on.
func many(n int) []*mail.Transaction {
	var list []*mail.Transaction
	for i := range n {
		list = append(list, message(body, fmt.Sprintf("u%d@x.example", i)))
	}
	return list
}

// pipeDialer gives each connection to a server function on a goroutine.
type pipeDialer struct {
	wg     sync.WaitGroup
	server func(n int, c net.Conn)
	tcp    bool // buffers as real connections have them; a failing TLS handshake needs some
	mu     sync.Mutex
	dialed int
}

func loopback() (a, b net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}

func (d *pipeDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	d.mu.Lock()
	n := d.dialed
	d.dialed++
	d.mu.Unlock()
	a, b := net.Pipe()
	if d.tcp {
		var err error
		if a, b, err = loopback(); err != nil {
			return nil, err
		}
	}
	d.wg.Go(func() {
		defer func() { _ = b.Close() }()
		d.server(n, b)
	})
	return a, nil
}

func smartHost() mail.Hop {
	return mail.Hop{Kind: mail.HopSmartHost, Name: "smart host", Hosts: []string{"192.0.2.1:25"}, Options: mail.HopOptions{TLS: mail.TLSNone}}
}

// serve runs an agent against a server function until the feed ends.
func serve(t testing.TB, hop mail.Hop, feed *listFeed, server func(n int, c net.Conn), change ...func(*Options)) error {
	t.Helper()
	return serveBy(t, &pipeDialer{server: server}, hop, feed, change...)
}

func serveBy(t testing.TB, d *pipeDialer, hop mail.Hop, feed *listFeed, change ...func(*Options)) error {
	t.Helper()
	o := Options{Hostname: "me.example", Dialer: d}
	for _, c := range change {
		c(&o)
	}
	err := New(o).Serve(t.Context(), hop, feed)
	d.wg.Wait()
	feed.check()
	return err
}

// fake is a server that keeps to the protocol, but for what its script says.
type fake struct {
	lmtp bool
	ext  []string
	// script may answer a command itself: a reply without CRLF, or "" for the
	// usual one, "drop" to close, "hang" to say nothing more.
	script func(verb, line string) string

	one      sync.Mutex // one connection at a time
	r        *bufio.Reader
	w        *bufio.Writer
	mailOpen bool
	rcpts    int
	names    []string       // recipients of the open transaction
	taken    map[string]int // how often each was acknowledged
	bodies   []string
	lines    []string
	lastCode byte
}

func (f *fake) serve(_ int, c net.Conn) {
	f.one.Lock()
	defer f.one.Unlock()
	f.r, f.w = bufio.NewReader(c), bufio.NewWriter(c)
	f.forget()
	if !f.answer("CONNECT", "", "220 fake.example ESMTP") {
		_ = f.w.Flush()
		return
	}
	for {
		if f.r.Buffered() == 0 && f.w.Flush() != nil {
			return
		}
		line, err := f.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		f.lines = append(f.lines, line)
		if !f.command(line) {
			_ = f.w.Flush()
			return
		}
	}
}

func (f *fake) answer(verb, line, usual string) bool {
	if f.script != nil {
		switch s := f.script(verb, line); s {
		case "":
		case "drop":
			return false
		case "drip": // a reply that never ends, an octet at a time
			_, _ = f.w.WriteString("250-")
			for f.w.WriteByte('x') == nil && f.w.Flush() == nil {
				time.Sleep(10 * time.Second)
			}
			return false
		case "cut": // accepts content, and goes away
			_, _ = f.w.WriteString("354 go on\r\n")
			_ = f.w.Flush()
			_, _ = io.CopyN(io.Discard, f.r, 10)
			return false
		case "hang":
			_ = f.w.Flush()
			_, _ = io.Copy(io.Discard, f.r)
			return false
		default:
			usual = s
		}
	}
	f.lastCode = usual[0]
	_, err := f.w.WriteString(usual + "\r\n")
	switch verb {
	case "MAIL":
		f.mailOpen = f.mailOpen || usual[0] == '2'
	case "RCPT":
		if usual[0] == '2' {
			f.rcpts++
			f.names = append(f.names, strings.TrimSuffix(strings.TrimPrefix(line, "RCPT TO:<"), ">"))
		}
	}
	return err == nil && !strings.Contains("\r\n"+usual, "\r\n421")
}

func (f *fake) command(line string) bool {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO", "LHLO":
		lines := append([]string{"fake.example"}, f.ext...)
		var b strings.Builder
		for i, l := range lines {
			sep := "-"
			if i == len(lines)-1 {
				sep = " "
			}
			b.WriteString("250" + sep + l + "\r\n")
		}
		return f.answer(verb, line, strings.TrimSuffix(b.String(), "\r\n"))
	case "MAIL":
		if f.mailOpen {
			return f.answer("NESTED", line, "503 5.5.1 nested MAIL")
		}
		return f.answer(verb, line, "250 2.1.0 ok")
	case "RCPT":
		if !f.mailOpen {
			return f.answer("RCPT503", line, "503 5.5.1 MAIL first")
		}
		return f.answer(verb, line, "250 2.1.5 ok")
	case "RSET":
		f.forget()
		return f.answer(verb, line, "250 2.0.0 ok")
	case "DATA":
		return f.data(line)
	case "BDAT":
		size, _ := strconv.Atoi(strings.Fields(arg)[0])
		b := make([]byte, size)
		if _, err := io.ReadFull(f.r, b); err != nil {
			return false
		}
		return f.end("BDAT", string(b))
	case "QUIT":
		f.answer(verb, line, "221 2.0.0 bye")
		return false
	}
	return f.answer(verb, line, "250 2.0.0 ok")
}

func (f *fake) data(line string) bool {
	if f.rcpts == 0 {
		return f.answer("DATA", line, "503 5.5.1 RCPT first")
	}
	if !f.answer("DATA", line, "354 go on") {
		return false
	}
	if f.lastCode != '3' {
		return true
	}
	if f.w.Flush() != nil {
		return false
	}
	var b strings.Builder
	for {
		l, err := f.r.ReadString('\n')
		if err != nil {
			return false
		}
		if l == ".\r\n" {
			return f.end("DOT", b.String())
		}
		b.WriteString(strings.TrimPrefix(l, "."))
	}
}

func (f *fake) end(verb, content string) bool {
	n, names := f.rcpts, f.names
	if n == 0 {
		// The transaction of a refused chunk stays open here, the worst that a
		// peer may make of RFC 3030.
		return f.answer(verb+"-NONE", "", "503 5.5.1 RCPT first")
	}
	f.forget()
	f.bodies = append(f.bodies, content)
	if !f.lmtp {
		n = 1
	}
	for i := range n {
		f.lastCode = 0
		ok := f.answer(verb, "", "250 2.0.0 taken")
		if f.lastCode == '2' {
			f.acknowledged(names, i)
		}
		if !ok {
			return false
		}
	}
	return true
}

// acknowledged counts the recipients of a message that was answered with 2yz.
func (f *fake) acknowledged(names []string, i int) {
	if f.taken == nil {
		f.taken = map[string]int{}
	}
	if f.lmtp {
		names = names[i : i+1]
	}
	for _, n := range names {
		f.taken[n]++
	}
}

func (f *fake) forget() { f.mailOpen, f.rcpts, f.names = false, 0, nil }

func connectError(t testing.TB, err error) *ConnectError {
	t.Helper()
	var c *ConnectError
	if !errors.As(err, &c) {
		t.Fatalf("error %v, want a ConnectError", err)
	}
	return c
}
