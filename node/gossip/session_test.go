package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// stuck is a stream whose reader takes one frame each time it is let.
type stuck struct {
	let  chan struct{}
	sent []*linkstatev1.Frame
}

func (s *stuck) Send(f *linkstatev1.Frame) error {
	if _, open := <-s.let; !open {
		return errors.New("broken")
	}
	s.sent = append(s.sent, f)
	return nil
}

func (s *stuck) Recv() (*linkstatev1.Frame, error) { return nil, errors.New("not used") }

func TestSlowReaderGetsTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(testConfig())
		if err != nil {
			t.Fatal(err)
		}
		stream := &stuck{let: make(chan struct{})}
		s := newSession(context.Background(), greeting{linkstate.GUID(serverB), linkstate.Protocol}, stream)
		r.sessions.Add(1)
		go s.write(r)
		const changes = 1000
		for i := range changes {
			s.out.put(&linkstate.Records{Records: []*linkstate.Record{{Server: linkstate.GUID{1}, Sequence: uint64(i + 1), Status: linkstate.Alive}}})
			synctest.Wait()
		}
		for range 2 { // the one that was stuck, and all the others as one
			stream.let <- struct{}{}
			synctest.Wait()
		}
		if len(stream.sent) != 2 {
			t.Fatalf("%d frames for %d changes, want 2", len(stream.sent), changes)
		}
		if got := stream.sent[1].GetRecords().GetRecords()[0].GetSequence(); got != changes {
			t.Errorf("last frame has sequence %d, want %d", got, changes)
		}
		s.out.put(&linkstate.Keepalive{})
		close(stream.let)
		if cause := s.wait(); cause == nil || cause.Error() != "sending: broken" {
			t.Errorf("the session ended with %v", cause)
		}
		r.sessions.Wait()
	})
}

// Redials wait longer and longer, within bounds; a new address is tried at once.
func TestRedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Duration
		began := time.Now()
		c := testConfig()
		c.Random = func(int) int { return 0 } // no jitter
		c.ClientTLS = func(mail.GUID) (*tls.Config, error) {
			dials = append(dials, time.Since(began))
			return nil, errors.New("no certificate")
		}
		r, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		r.keepalive = 200 * time.Millisecond
		n := &neighbour{guid: linkstate.GUID(serverE), address: "192.0.2.1:691", wake: make(chan struct{}, 1), lost: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.dialLoop(ctx, n); close(ended) }()
		<-time.After(2100 * time.Millisecond)
		r.mu.Lock()
		n.setAddress("192.0.2.2:691")
		r.mu.Unlock()
		synctest.Wait()
		cancel()
		<-ended
		want := []time.Duration{0, 50, 150, 350, 750, 1350, 1950, 2100}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(dials, want) {
			t.Errorf("dialed at %v, want %v", dials, want)
		}
		if n.lastErr != "no certificate" {
			t.Errorf("last error %q", n.lastErr)
		}
	})
}
