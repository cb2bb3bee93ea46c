package bench

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what the clients send.
type Load struct {
	Target   string // relay's "host:port"
	Messages int
	Size     int // octets
	Sessions int // client connections at a time
	PerConn  int // messages for each connection
	To       string
	Rate     float64 // messages per second, in even steps; 0: as fast as they are taken
}

// idHeader carries the message's number to the sink.
const idHeader = "X-Bench-Number: "

// Send hands all messages in and returns each one's time from MAIL, or with a
// Rate from when MAIL was due, to the reply to its end. The relay must take every
// one of them.
func (l Load) Send() ([]time.Duration, error) {
	body := content(l.Size)
	began := time.Now()
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var firstErr error
	var wg sync.WaitGroup
	for range l.Sessions {
		wg.Go(func() {
			for next.Load() < int64(l.Messages) {
				mine, err := l.session(body, began, &next)
				mu.Lock()
				took = append(took, mine...)
				if firstErr == nil {
					firstErr = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return took, firstErr
}

func (l Load) session(body string, began time.Time, next *atomic.Int64) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", l.Target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriterSize(conn, 64<<10)
	if err := expect(r, "220"); err != nil {
		return nil, err
	}
	fmt.Fprint(w, "EHLO client.bench.test\r\n")
	w.Flush()
	if err := expect(r, "250"); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range l.PerConn {
		n := next.Add(1) - 1
		if n >= int64(l.Messages) {
			break
		}
		start := time.Now()
		if l.Rate > 0 {
			start = began.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
			time.Sleep(time.Until(start))
		}
		fmt.Fprintf(w, "MAIL FROM:<sender@bench.test>\r\nRCPT TO:<%s>\r\nDATA\r\n", l.To)
		w.Flush()
		for _, code := range []string{"250", "250", "354"} {
			if err := expect(r, code); err != nil {
				return took, err
			}
		}
		fmt.Fprintf(w, "%s%d\r\n", idHeader, n)
		w.WriteString(body)
		w.WriteString(".\r\n")
		w.Flush()
		if err := expect(r, "250"); err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
	}
	fmt.Fprint(w, "QUIT\r\n")
	w.Flush()
	return took, nil
}

// expect reads one reply, of several lines perhaps.
func expect(r *bufio.Reader, code string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", code, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("expected %s, the relay said %q", code, line)
		}
		return nil
	}
}

func content(size int) string {
	var b strings.Builder
	b.WriteString("From: <sender@bench.test>\r\nTo: <someone@sink.test>\r\nSubject: bench\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%06d A stagecoach carries mail on the post road, change of horses included.\r\n", i)
	}
	return b.String()
}
