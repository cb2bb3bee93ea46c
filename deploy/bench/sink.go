package bench

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sink is the next hop: it takes everything and notes when each number came.
type Sink struct {
	l    net.Listener
	want int

	mu    sync.Mutex
	seen  map[int]time.Time
	dups  int
	tally Tally
	done  chan struct{}
	wg    sync.WaitGroup
}

// NewSink listens for want messages; Done is closed when all have come.
func NewSink(want int) (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{l: l, want: want, seen: make(map[int]time.Time, want), done: make(chan struct{})}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	})
	return s, nil
}

// Address is "127.0.0.1:port".
func (s *Sink) Address() string { return s.l.Addr().String() }

// Reset begins a new round of want messages.
func (s *Sink) Reset(want int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want, s.seen, s.dups, s.done = want, make(map[int]time.Time, want), 0, make(chan struct{})
	s.tally = Tally{}
}

// Wait returns the time of the last arrival, and how many messages came twice
// or not at all within limit.
func (s *Sink) Wait(limit time.Duration) (last time.Time, duplicates, missing int) {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	select {
	case <-done:
	case <-time.After(limit):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.seen {
		if t.After(last) {
			last = t
		}
	}
	return last, s.dups, s.want - len(s.seen)
}

// Tally is what came since Reset, in whatever transactions.
type Tally struct {
	Transactions int // with content
	Recipients   int // of these
	Last         time.Time
}

// Tally is what came until now.
func (s *Sink) Tally() Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally
}

// Close stops listening.
func (s *Sink) Close() { s.l.Close(); s.wg.Wait() }

func (s *Sink) note(n, recipients int) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally = Tally{s.tally.Transactions + 1, s.tally.Recipients + recipients, now}
	if n < 0 {
		return // a report, or mail of somebody else
	}
	if _, ok := s.seen[n]; ok {
		s.dups++
		return
	}
	s.seen[n] = now
	if len(s.seen) == s.want {
		close(s.done)
	}
}

func (s *Sink) serve(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	fmt.Fprint(w, "220 sink.test ESMTP\r\n")
	w.Flush()
	number, recipients := -1, 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			fmt.Fprint(w, "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SIZE 104857600\r\n250-CHUNKING\r\n250 DSN\r\n")
		case "MAIL":
			number, recipients = -1, 0
			fmt.Fprint(w, "250 2.1.0 ok\r\n")
		case "RCPT":
			recipients++
			fmt.Fprint(w, "250 2.1.5 ok\r\n")
		case "DATA":
			fmt.Fprint(w, "354 go on\r\n")
			w.Flush()
			if number, err = readDots(r); err != nil {
				return
			}
			s.note(number, recipients)
			fmt.Fprint(w, "250 2.0.0 ok\r\n")
		case "BDAT":
			size, last, _ := strings.Cut(arg, " ")
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil {
				return
			}
			if number, err = readChunk(r, n, number); err != nil {
				return
			}
			if last != "" {
				s.note(number, recipients)
			}
			fmt.Fprint(w, "250 2.0.0 ok\r\n")
		case "QUIT":
			fmt.Fprint(w, "221 2.0.0 bye\r\n")
			w.Flush()
			return
		default:
			fmt.Fprint(w, "250 2.0.0 ok\r\n")
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

func readDots(r *bufio.Reader) (number int, err error) {
	number = -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return number, err
		}
		if len(line) == 3 && line[0] == '.' {
			return number, nil
		}
		if number < 0 {
			number = numberIn(line)
		}
	}
}

// readChunk looks for the number in the first lines, unless an earlier chunk had
// it, and throws the rest away.
func readChunk(r *bufio.Reader, n int64, known int) (number int, err error) {
	const lines = 20
	number = known
	for i := 0; i < lines && n > 0 && number < 0; i++ {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull || int64(len(line)) > n {
			return number, fmt.Errorf("reading a chunk: %w", err)
		}
		n -= int64(len(line))
		number = numberIn(line)
	}
	_, err = r.Discard(int(n))
	return number, err
}

func numberIn(line []byte) int {
	v, ok := strings.CutPrefix(string(line), idHeader)
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return -1
	}
	return n
}
