package queue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// go test ./node/queue -run xxx -bench Full -benchtime 1x -full 1000000 -full-dir /var/tmp/full
var (
	fullMessages = flag.Int("full", 20_000, "messages of BenchmarkFull")
	fullQueues   = flag.Int("full-queues", 5_000, "queues of BenchmarkFull")
	fullDir      = flag.String("full-dir", "", "folder for the spool of BenchmarkFull, kept and used again; \"\": a temporary one")
)

// fillProcess marks the process that fills the spool: its memory is not measured.
const fillProcess = "POSTROAD_BENCH_FILL"

// BenchmarkFull starts on a spool that is full of mail which nobody takes, but for one
// destination, and reports memory and the times that an administrator waits.
// Wanted at a million messages in 5,000 queues: 400 MiB, delivery within 5 s of the
// start, the list within 100 ms, pages of a search within 200 ms.
func BenchmarkFull(b *testing.B) {
	dir := *fullDir
	if dir == "" {
		dir = b.TempDir()
	}
	if os.Getenv(fillProcess) != "" {
		fill(b, *fullDir)
		return
	}
	if _, err := os.Stat(filepath.Join(dir, "full")); err != nil {
		cmd := exec.Command(os.Args[0], append(os.Args[1:len(os.Args):len(os.Args)], "-full-dir", dir)...)
		cmd.Env = append(os.Environ(), fillProcess+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("filling: %v\n%s", err, out)
		}
	}
	for b.Loop() {
		measure(b, dir)
	}
}

func fill(b *testing.B, dir string) {
	sp, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 1000
	for i := 0; i < *fullMessages; i += batch {
		var list []spool.Incoming
		var envs []*mail.Envelope
		for n := i; n < min(i+batch, *fullMessages); n++ {
			env := envelope(n, fmt.Sprintf("recipient%d@d%d.example", n, n%*fullQueues))
			env.From = mail.Address{Local: fmt.Sprintf("sender%d", n), Domain: fmt.Sprintf("s%d.example", n%97)}
			env.MessageID, env.ClientHost, env.ClientName = fmt.Sprintf("%d@s%d.example", n, n%97), "192.0.2.1", "client.example"
			body := sp.NewBody()
			body.Write(make([]byte, 1000))
			list = append(list, spool.Incoming{ID: spool.ID(env.ID), Body: body, Envelope: codec.EncodeEnvelope(env), Recipients: 1})
			envs = append(envs, env)
		}
		if err := sp.Accept(list...); err != nil {
			b.Fatal(err)
		}
		for _, env := range envs {
			a := env.Recipients[0].Address
			d := mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: a.Domain}
			plan := codec.EncodePlan([]mail.Target{{Address: a, Destination: d}})
			due := env.Received.UnixMilli()
			t := tag{created: due}
			if err := sp.Plan(spool.ID(env.ID), plan, []spool.Entry{{Queue: KeyOf(d, mail.Class{}, nil).Name(), Due: due, Tag: t.encode()}}, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := sp.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "full"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
}

// memory is the resident set in MiB, greatest and present.
func memory(b *testing.B) (peak, now float64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err) // not Linux
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmHWM: %f kB", &peak)
		fmt.Sscanf(line, "VmRSS: %f kB", &now)
	}
	return peak / 1024, now / 1024
}

func measure(b *testing.B, dir string) {
	took := func(unit string, start time.Time) {
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, unit)
	}
	start := time.Now()
	sp, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	took("ms/open", start)
	g := newRig()
	first := make(chan struct{})
	var once sync.Once
	agent := agentFunc(func(_ context.Context, hop mail.Hop, feed mail.Feed) error {
		if hop.Name == "d8.example" {
			once.Do(func() {
				if t := feed.Next(); t != nil {
					close(first)
					// It is deferred, so that the next round finds as much as this one.
					feed.Done(t, []mail.Outcome{mail.Defer(mail.Status{Class: 4, Subject: 2}, "mailbox full")})
				}
			})
		}
		return errAway
	})
	r := New(Config{Store: sp, Router: g.router, Agent: agent, Categorizer: g.dir, Reporter: g.reporter})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	<-first
	took("ms/first", start)
	if err := sp.WaitCounted(ctx); err != nil {
		b.Fatal(err)
	}
	took("ms/counted", start)
	if *fullMessages >= 1_000_000 {
		time.Sleep(15 * time.Second) // failed connections and their retries
	}
	peak, _ := memory(b)
	b.ReportMetric(peak, "MiB/start")
	look(b, r, took)
	peak, now := memory(b)
	b.ReportMetric(peak, "MiB/peak")
	b.ReportMetric(now, "MiB/rss")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB/heap")
	debug.FreeOSMemory()
	_, now = memory(b)
	b.ReportMetric(now, "MiB/least")
	if path := os.Getenv("POSTROAD_BENCH_HEAP"); path != "" {
		writeHeap(b, path)
	}
	r.mu.Lock()
	held := 0
	for _, q := range r.sched.queues {
		held += len(q.refs)
	}
	r.mu.Unlock()
	b.ReportMetric(float64(held), "entries")
	cancel()
	wg.Wait()
	if err := sp.Close(); err != nil {
		b.Fatal(err)
	}
}

// look asks what an administrator asks.
func look(b *testing.B, r *Runner, took func(string, time.Time)) {
	start := time.Now()
	n := len(r.List())
	took("ms/list", start)
	b.ReportMetric(float64(n), "queues")
	for _, s := range []struct{ name, text, queue string }{
		{"all", "", ""}, {"often", "sender ~ *@s7.example", ""}, {"rarely", "sender = sender999999@s0.example", ""},
		{"age", "age > 10w", ""}, {"queue", "", queueID(KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "d9.example"}, mail.Class{}, nil).Name())},
	} {
		search := Search{Queue: s.queue, Budget: 120 * time.Millisecond}
		if s.text != "" {
			f, err := filter.Parse(filter.Messages, s.text)
			if err != nil {
				b.Fatal(err)
			}
			search.Filter = f
		}
		start := time.Now()
		got, err := r.Find(search)
		if err != nil {
			b.Fatal(err)
		}
		took("ms/"+s.name, start)
		if got.Next != nil && len(got.Messages) < 100 {
			b.ReportMetric(float64(got.Looked), "looked/"+s.name)
		}
	}
	start = time.Now()
	if _, err := r.Shape(context.Background(), func(q Info) string { return q.Destination.Domain }); err != nil {
		b.Fatal(err)
	}
	took("ms/shape", start)
	start = time.Now()
	if _, err := r.ShapeOfSenders(context.Background()); err != nil {
		b.Fatal(err)
	}
	took("ms/shape-senders", start)
}

func writeHeap(b *testing.B, path string) {
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(pprof.WriteHeapProfile(f), f.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
}
