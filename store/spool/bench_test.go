package spool

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"testing"
)

const benchWriters = 64

func benchSpool(b *testing.B) *Spool {
	b.Helper()
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// eachWriter runs f for 0..b.N-1 on benchWriters goroutines.
func eachWriter(b *testing.B, f func(n int64) error) {
	b.Helper()
	b.SetBytes(10 << 10)
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range benchWriters {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := f(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func numbered(n int64) (id ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(n))
	binary.BigEndian.PutUint64(id[8:], uint64(n)*0x9e3779b97f4a7c15)
	return id
}

func acceptOne(s *Spool, id ID, content, envelope []byte) error {
	body := s.NewBody()
	if _, err := body.Write(content); err != nil {
		return err
	}
	return s.Accept(Incoming{ID: id, Body: body, Envelope: envelope})
}

// Wanted: 25,000 a second on two cores.
func BenchmarkAccept10KiB64Writers(b *testing.B) {
	s := benchSpool(b)
	content, envelope := make([]byte, 10<<10), make([]byte, 300)
	eachWriter(b, func(n int64) error { return acceptOne(s, numbered(n), content, envelope) })
}

// Wanted: 12,000 a second on two cores.
func BenchmarkCycle10KiB64Writers(b *testing.B) {
	s := benchSpool(b)
	content, envelope := make([]byte, 10<<10), make([]byte, 300)
	eachWriter(b, func(n int64) error { return cycle(s, numbered(n), content, envelope) })
}

func cycle(s *Spool, id ID, content, envelope []byte) error {
	if err := acceptOne(s, id, content, envelope); err != nil {
		return err
	}
	e := Entry{Queue: "SMTP:example.com", Due: 1, Tag: []byte{0}}
	if err := s.Plan(id, envelope, []Entry{e}, nil); err != nil {
		return err
	}
	if _, err := s.Load(id); err != nil {
		return err
	}
	r, err := s.OpenBody(id)
	if err != nil {
		return err
	}
	if _, err := r.WriteTo(io.Discard); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	_, err = s.Settle(Settlement{ID: id, Queue: e.Queue, Due: e.Due})
	return err
}

// The queue's way: what was accepted is delivered from memory and settled by
// the hundred.
func BenchmarkCycleBatchedSettle(b *testing.B) {
	s := benchSpool(b)
	content, envelope := make([]byte, 10<<10), make([]byte, 300)
	var mu sync.Mutex
	var waiting []Settlement
	eachWriter(b, func(n int64) error {
		id := numbered(n)
		if err := acceptOne(s, id, content, envelope); err != nil {
			return err
		}
		if err := s.Plan(id, envelope, []Entry{{Queue: "SMTP:example.com", Due: 1}}, nil); err != nil {
			return err
		}
		r, err := s.OpenBody(id)
		if err != nil {
			return err
		}
		if _, err := r.WriteTo(io.Discard); err != nil {
			return err
		}
		mu.Lock()
		waiting = append(waiting, Settlement{ID: id, Queue: "SMTP:example.com", Due: 1})
		var full []Settlement
		if len(waiting) == 100 {
			full, waiting = waiting, nil
		}
		mu.Unlock()
		if full == nil {
			return r.Close()
		}
		_, err = s.Settle(full...)
		return err
	})
}
