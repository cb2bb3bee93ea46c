package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
)

// Null is a relay with nothing in it but what none can do without: SMTP in, a store
// that is synced before the 250, SMTP out. It knows no routes, keeps no queues and
// does not look, when it starts, for what it kept. What it does on a machine is the
// most that can be asked of a relay with its store there.
type Null struct {
	l     net.Listener
	store keeper
	ready chan letter
}

type letter struct {
	number         uint64 // the store's
	from, to, text string
}

// keeper is where a Null keeps mail.
type keeper interface {
	// keep returns when the letter is durable, and sets its number.
	keep(*letter) error
	// delivered forgets a letter, or notes that it may be forgotten; it need not be durable.
	delivered(letter) error
}

const (
	nullOut    = 8   // connections to the next hop, as many as Postroad opens by default
	nullWindow = 64  // messages on their way in one of them
	nullRoom   = 256 // messages between in and out
)

// NewNull begins to relay to the next hop.
func NewNull(store keeper, next string) (*Null, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &Null{l: l, store: store, ready: make(chan letter, nullRoom)}
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
			if n.store.keep(&m) != nil {
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
	var out chan letter
	var w *bufio.Writer
	for m := range n.ready {
		if w == nil {
			c, err := net.Dial("tcp", next)
			if err != nil {
				panic(err) // there is nowhere to keep mail: the measurement is over
			}
			w, out = bufio.NewWriterSize(c, 64<<10), make(chan letter, nullWindow)
			fmt.Fprint(w, "EHLO null.test\r\n")
			go n.replies(bufio.NewReader(c), out)
		}
		fmt.Fprintf(w, "%s\r\n%s\r\nBDAT %d LAST\r\n", m.from, m.to, len(m.text))
		w.WriteString(m.text)
		if len(n.ready) == 0 {
			w.Flush()
		}
		select {
		case out <- m:
		default:
			w.Flush()
			out <- m
		}
	}
}

// replies tells the store what was delivered.
func (n *Null) replies(r *bufio.Reader, out chan letter) {
	for _, code := range []string{"220", "250"} {
		if err := expect(r, code); err != nil {
			panic(err)
		}
	}
	for m := range out {
		for range 3 { // MAIL, RCPT, BDAT
			if err := expect(r, "250"); err != nil {
				panic(err)
			}
		}
		if err := n.store.delivered(m); err != nil {
			panic(err)
		}
	}
}
