package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
)

// Null is a relay with nothing in it but what none can do without: SMTP in, a log
// that is synced before the 250, SMTP out. It knows no routes, keeps no queues and
// cannot start again. What it does on a machine is the most that can be asked of a
// relay there.
type Null struct {
	l     net.Listener
	log   *journal
	ready chan letter
}

type letter struct{ from, to, text string }

const (
	nullOut    = 8   // connections to the next hop, as many as Postroad opens by default
	nullWindow = 64  // messages on their way in one of them
	nullRoom   = 256 // messages between in and out
)

// NewNull begins to relay to the next hop; the log is made in the folder dir.
func NewNull(dir, next string) (*Null, error) {
	log, err := newJournal(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &Null{l: l, log: log, ready: make(chan letter, nullRoom)}
	for range nullOut {
		go n.deliver(next)
	}
	return n, nil
}

// Address is "127.0.0.1:port".
func (n *Null) Address() string { return n.l.Addr().String() }

// Serve takes mail until Close.
func (n *Null) Serve() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		go n.session(c)
	}
}

// Close stops listening.
func (n *Null) Close() { n.l.Close() }

func (n *Null) session(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 32<<10), bufio.NewWriter(c)
	fmt.Fprint(w, "220 null.test ESMTP\r\n")
	w.Flush()
	var m letter
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := string(bytes.ToUpper(line[:min(4, len(line))])); verb {
		case "EHLO":
			w.WriteString("250-null.test\r\n250 PIPELINING\r\n")
		case "MAIL":
			m = letter{from: strings.TrimSpace(string(line))}
			w.WriteString("250 ok\r\n")
		case "RCPT":
			m.to = strings.TrimSpace(string(line))
			w.WriteString("250 ok\r\n")
		case "DATA":
			w.WriteString("354 go on\r\n")
			w.Flush()
			if m.text, err = readText(r); err != nil {
				return
			}
			if n.log.write(m.from, m.to, m.text) != nil {
				return
			}
			n.ready <- m
			w.WriteString("250 ok\r\n")
		case "QUIT":
			w.WriteString("221 bye\r\n")
			w.Flush()
			return
		default:
			w.WriteString("250 ok\r\n")
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

func readText(r *bufio.Reader) (string, error) {
	var b strings.Builder
	b.Grow(16 << 10)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if line[0] == '.' {
			if len(line) == 3 {
				return b.String(), nil
			}
			line = line[1:]
		}
		b.Write(line)
	}
}

// deliver sends one message after the other without waiting for replies.
func (n *Null) deliver(next string) {
	var out chan struct{}
	var w *bufio.Writer
	for m := range n.ready {
		if w == nil {
			c, err := net.Dial("tcp", next)
			if err != nil {
				panic(err) // there is nowhere to keep mail: the measurement is over
			}
			w, out = bufio.NewWriterSize(c, 64<<10), make(chan struct{}, nullWindow)
			fmt.Fprint(w, "EHLO null.test\r\n")
			go n.replies(bufio.NewReader(c), out)
		}
		fmt.Fprintf(w, "%s\r\n%s\r\nBDAT %d LAST\r\n", m.from, m.to, len(m.text))
		w.WriteString(m.text)
		if len(n.ready) == 0 {
			w.Flush()
		}
		select {
		case out <- struct{}{}:
		default:
			w.Flush()
			out <- struct{}{}
		}
	}
}

// replies notes in the log what was delivered.
func (n *Null) replies(r *bufio.Reader, out chan struct{}) {
	for _, code := range []string{"220", "250"} {
		if err := expect(r, code); err != nil {
			panic(err)
		}
	}
	for range out {
		for range 3 { // MAIL, RCPT, BDAT
			if err := expect(r, "250"); err != nil {
				panic(err)
			}
		}
		n.log.note("delivered\r\n")
	}
}

// journal is a file to which many write at a time and share the syncs.
type journal struct {
	f    *os.File
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	group   *group
}

type group struct {
	done chan struct{}
	err  error
}

func newJournal(dir string) (*journal, error) {
	f, err := os.CreateTemp(dir, "null-*.log")
	if err != nil {
		return nil, err
	}
	j := &journal{f: f, wake: make(chan struct{}, 1), group: &group{done: make(chan struct{})}}
	go j.run()
	return j, nil
}

// write returns when the text is durable.
func (j *journal) write(text ...string) error {
	g := j.note(text...)
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-g.done
	return g.err
}

// note writes with the next group.
func (j *journal) note(text ...string) *group {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range text {
		j.pending = append(j.pending, t...)
	}
	return j.group
}

func (j *journal) run() {
	var spare []byte
	for range j.wake {
		j.mu.Lock()
		text, g := j.pending, j.group
		j.pending, j.group = spare[:0], &group{done: make(chan struct{})}
		j.mu.Unlock()
		_, err := j.f.Write(text)
		g.err = errors.Join(err, syscall.Fdatasync(int(j.f.Fd())))
		close(g.done)
		spare = text
	}
}
