package bench

import (
	"net"
	"sync"
	"time"
)

// Far is a way to a host that is far: a proxy that holds every octet back for
// half the round trip, in both directions, however many are on their way.
type Far struct {
	l    net.Listener
	to   string
	trip time.Duration

	mu    sync.Mutex
	conns int
}

// NewFar listens on loopback and leads to the host at the address to.
func NewFar(to string, roundTrip time.Duration) (*Far, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Far{l: l, to: to, trip: roundTrip}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns++
			f.mu.Unlock()
			go f.serve(c)
		}
	}()
	return f, nil
}

// Address is "127.0.0.1:port".
func (f *Far) Address() string { return f.l.Addr().String() }

// Connections is how many were opened.
func (f *Far) Connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns
}

// Close stops listening.
func (f *Far) Close() { f.l.Close() }

func (f *Far) serve(near net.Conn) {
	defer near.Close()
	time.Sleep(f.trip * 3 / 2) // the handshake, which was over at once
	far, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer far.Close()
	var wg sync.WaitGroup
	wg.Go(func() { f.carry(far, near) })
	wg.Go(func() { f.carry(near, far) })
	wg.Wait()
}

// parcel is what one read gave; none in flight is longer than parcelSize octets,
// nor are there more than inFlight of them.
type parcel struct {
	due  time.Time
	text []byte
}

const (
	parcelSize = 32 << 10
	inFlight   = 4096
)

func (f *Far) carry(to, from net.Conn) {
	road := make(chan parcel, inFlight)
	go func() {
		defer close(road)
		for {
			text := make([]byte, parcelSize)
			n, err := from.Read(text)
			if n > 0 {
				road <- parcel{time.Now().Add(f.trip / 2), text[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range road {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.text); err != nil {
			from.Close()
		}
	}
	to.(*net.TCPConn).CloseWrite()
}
