package deliver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// sink is a peer that costs as little as it can: it takes everything.
func sink(chunking bool) func(int, net.Conn) {
	return func(_ int, c net.Conn) {
		r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 16<<10)
		_, _ = w.WriteString("220 sink\r\n")
		for {
			if r.Buffered() == 0 && w.Flush() != nil {
				return
			}
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			switch line[0] {
			case 'E':
				_, _ = w.WriteString("250-sink\r\n250-PIPELINING\r\n")
				if chunking {
					_, _ = w.WriteString("250-CHUNKING\r\n")
				}
				_, _ = w.WriteString("250-DSN\r\n250 SIZE\r\n")
				continue
			case 'B':
				n, _ := strconv.Atoi(strings.Fields(string(line))[1])
				if _, err := r.Discard(n); err != nil {
					return
				}
			case 'D':
				_, _ = w.WriteString("354 go on\r\n")
				if w.Flush() != nil {
					return
				}
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 3 && line[0] == '.' {
						break
					}
				}
			case 'Q':
				_, _ = w.WriteString("221 bye\r\n")
				_ = w.Flush()
				return
			}
			_, _ = w.WriteString("250 2.0.0 ok\r\n")
		}
	}
}

// endless gives the same transaction, left times.
type endless struct {
	t      *mail.Transaction
	mu     sync.Mutex
	left   int
	bad    int
	unique bool // with an ID of its own each
}

func (e *endless) Next() *mail.Transaction {
	if e.left == 0 {
		return nil
	}
	e.left--
	t := *e.t
	if e.unique {
		env := *t.Envelope
		env.ID = mail.NewID(time.UnixMilli(int64(e.left)), [10]byte{})
		t.Envelope = &env
	}
	return &t
}

func (e *endless) Wait(time.Duration) bool { return false }

func (e *endless) Done(_ *mail.Transaction, o []mail.Outcome) {
	if o[0].Result != mail.Delivered {
		e.mu.Lock()
		e.bad++
		e.mu.Unlock()
	}
}

// BenchmarkClient sends 10 KiB messages over one loopback connection to a sink
// in the same process; the wanted figure is 15,000 messages a second or more.
func BenchmarkClient(b *testing.B) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789\r\n", 10<<10/60)
	for _, chunking := range []bool{true, false} {
		b.Run(fmt.Sprintf("chunking=%v", chunking), func(b *testing.B) {
			d := &pipeDialer{server: sink(chunking), tcp: true}
			a := New(Options{Hostname: "me.example", Dialer: d})
			feed := &endless{t: message(text, "u@x.example"), left: b.N}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			b.ResetTimer()
			if err := a.Serve(b.Context(), smartHost(), feed); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			d.wg.Wait()
			if feed.bad > 0 {
				b.Errorf("%d not delivered", feed.bad)
			}
		})
	}
}

// BenchmarkDistance sends to a host 100 ms away (round trip) over one
// connection, where windows count and CPU does not.
func BenchmarkDistance(b *testing.B) {
	for _, chunking := range []bool{true, false} {
		b.Run(fmt.Sprintf("chunking=%v", chunking), func(b *testing.B) {
			d := &pipeDialer{tcp: true, server: func(n int, c net.Conn) { sink(chunking)(n, delayed(c, 50*time.Millisecond)) }}
			a := New(Options{Hostname: "me.example", Dialer: d})
			feed := &endless{t: message(body, "u@x.example"), left: b.N}
			b.ResetTimer()
			if err := a.Serve(b.Context(), smartHost(), feed); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			d.wg.Wait()
		})
	}
}

// delayed is a connection whose octets arrive later, both ways.
func delayed(c net.Conn, by time.Duration) net.Conn {
	near, far := net.Pipe()
	go carry(near, c, by)
	go carry(c, near, by)
	return far
}

func carry(to, from net.Conn, by time.Duration) {
	type piece struct {
		b  []byte
		at time.Time
	}
	line := make(chan piece, 4096)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range line {
			<-time.After(time.Until(p.at))
			if _, err := to.Write(p.b); err != nil {
				break
			}
		}
		for range line { // let the other side end
		}
	}()
	defer close(line)
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if n > 0 {
			line <- piece{b[:n], time.Now().Add(by)}
		}
		if err != nil {
			if err != io.EOF {
				_ = to.Close()
			}
			return
		}
	}
}
