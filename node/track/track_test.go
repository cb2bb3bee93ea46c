package track

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123_000, time.UTC)

func event(id byte, at time.Time, kind mail.EventKind) mail.Event {
	return mail.Event{
		At: at, Kind: kind, Source: "SMTP", ID: mail.ID{id}, Origin: mail.ID{100 + id}, MessageID: "m" + string('0'+rune(id)) + "@example.com",
		Sender: "Alice@Example.com", Recipients: []string{"bob@example.net", "carol@example.net"}, Size: 1000,
	}
}

func opened(t testing.TB, cfg Config) *Log {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return l
}

func found(t testing.TB, l *Log, q Query) []mail.Event {
	t.Helper()
	f, err := l.Find(q)
	if err != nil || f.Partial {
		t.Fatalf("find %+v: partial %v, %v", q, f.Partial, err)
	}
	return f.Events
}

func value(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestFindByAnything(t *testing.T) {
	l := opened(t, Config{Dir: t.TempDir()})
	first, second := event(1, noon, mail.EventReceive), event(2, noon.Add(time.Second), mail.EventReceive)
	second.Sender, second.Recipients = "", []string{"Dave@example.org"}
	report := event(3, noon.Add(25*time.Hour), mail.EventDSN)
	report.Linked = first.ID
	for _, e := range []mail.Event{first, second, report} {
		l.Record(e)
	}
	for name, c := range map[string]struct {
		q    Query
		want []mail.Event
	}{
		"everything":               {Query{}, []mail.Event{first, second, report}},
		"queue ID, and its report": {Query{Message: first.ID.String()}, []mail.Event{first, report}},
		"queue ID in lower case":   {Query{Message: strings.ToLower(second.ID.String())}, []mail.Event{second}},
		"origin ID":                {Query{Message: second.Origin.String()}, []mail.Event{second}},
		"Message-ID":               {Query{Message: second.MessageID}, []mail.Event{second}},
		"Message-ID in brackets":   {Query{Message: " <" + strings.ToUpper(second.MessageID) + "> "}, []mail.Event{second}},
		"half a Message-ID":        {Query{Message: "example.com"}, nil},
		"sender":                   {Query{Sender: "alice@example.COM"}, []mail.Event{first, report}},
		"recipient":                {Query{Recipient: "dave@example.org"}, []mail.Event{second}},
		"recipient, not sender":    {Query{Sender: "bob@example.net"}, nil},
		"since":                    {Query{Since: second.At}, []mail.Event{second, report}},
		"since another day":        {Query{Since: noon.Add(20 * time.Hour)}, []mail.Event{report}},
		"the latest":               {Query{Limit: 2}, []mail.Event{second, report}},
		"sender and recipient":     {Query{Sender: first.Sender, Recipient: "CAROL@example.net", Limit: 1}, []mail.Event{report}},
	} {
		if got := found(t, l, c.q); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, c.want)
		}
	}
}

func TestEventsAreWrittenAfterTheInterval(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := opened(t, Config{Dir: dir})
		l.Record(event(1, noon, mail.EventReceive))
		<-time.After(FlushInterval - 1) // of the virtual clock
		synctest.Wait()
		if all, err := list(dir); err != nil || len(all) != 0 {
			t.Fatalf("written early: %v, %v", all, err)
		}
		<-time.After(1)
		synctest.Wait()
		if all, err := list(dir); err != nil || len(all) != 1 || all[0].size == 0 {
			t.Fatalf("not written: %v, %v", all, err)
		}
	})
}

func TestClosedLog(t *testing.T) {
	l := opened(t, Config{Dir: t.TempDir()})
	l.Record(event(1, noon, mail.EventReceive))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Record(event(2, noon, mail.EventReceive))
	if got := found(t, l, Query{}); len(got) != 1 {
		t.Errorf("%d events, want the one before Close", len(got))
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

func TestFullBufferDropsAndCounts(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{metrics: m, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)} // nobody writes
	for range bufferLimit + 5 {
		l.Record(event(1, noon, mail.EventReceive))
	}
	if got := value(t, m.dropped); got != 5 {
		t.Errorf("%v dropped, want 5", got)
	}
	if len(l.hurry) != 1 || len(l.wake) != 1 {
		t.Error("the writer is not called")
	}
}

func TestUnwritableFolderCountsAndGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	core, logs := observer.New(zapcore.ErrorLevel)
	l := opened(t, Config{Dir: dir, Logger: zap.New(core)})
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	l.Record(event(1, noon, mail.EventReceive))
	if err := l.Flush(); err == nil {
		t.Error("written to nowhere")
	}
	if got := value(t, l.metrics.dropped); got != 1 || logs.Len() != 1 {
		t.Errorf("%v dropped, %d lines logged, want one of each", got, logs.Len())
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	l.Record(event(2, noon, mail.EventReceive))
	if got := found(t, l, Query{}); len(got) != 1 || got[0].ID != (mail.ID{2}) {
		t.Errorf("found %+v, want the event after the fault", got)
	}
}

func TestHalfALineCostsOnlyItself(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, Config{Dir: dir})
	l.Record(event(1, noon, mail.EventReceive))
	l.Record(event(2, noon, mail.EventReceive))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileName(dayOf(noon), 1))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-10); err != nil {
		t.Fatal(err)
	}
	l = opened(t, Config{Dir: dir})
	l.Record(event(3, noon, mail.EventReceive))
	got := found(t, l, Query{})
	if len(got) != 2 || got[0].ID != (mail.ID{1}) || got[1].ID != (mail.ID{3}) {
		t.Errorf("found %+v", got)
	}
}

func TestFindIsBounded(t *testing.T) {
	dir := t.TempDir()
	w := &writer{files: files{dir: dir, limit: 1}}
	for i := range byte(3) {
		if err := w.write([]mail.Event{event(i+1, noon, mail.EventSend)}); err != nil {
			t.Fatal(err)
		}
	}
	w.close()
	all, err := list(dir)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	f, err := find(dir, Query{}, all[1].size+all[2].size)
	if err != nil || !f.Partial || len(f.Events) != 2 || f.Events[0].ID != (mail.ID{2}) {
		t.Errorf("found %+v, %v, want the latest two and partial", f, err)
	}
}

func TestMetricsAndLines(t *testing.T) {
	r := prometheus.NewRegistry()
	var logs bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{TimeKey: "ts", MessageKey: "event", EncodeTime: zapcore.RFC3339NanoTimeEncoder}), zapcore.AddSync(&logs), zap.InfoLevel)
	l := opened(t, Config{Dir: t.TempDir(), Metrics: r, Logger: zap.New(core)})
	l.Record(event(1, noon, mail.EventReceive))
	full := event(1, noon, mail.EventDeliver)
	full.Peer, full.Connector, full.Status, full.Detail, full.Table, full.Linked = "mailbox", "to \"x\"", "2.0.0", "kept", 7, mail.ID{9}
	l.Record(full)
	l.Record(event(2, noon, mail.EventReceive))
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	octets := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "postroad_message_bytes_total" {
			for _, m := range f.GetMetric() {
				octets[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if want := map[string]float64{"receive": 2000, "deliver": 1000, "send": 0}; !reflect.DeepEqual(octets, want) {
		t.Errorf("octets %v, want %v", octets, want)
	}
	if got := value(t, l.metrics.events[mail.EventReceive]); got != 2 {
		t.Errorf("%v received, want 2", got)
	}
	want := `{"ts":"2026-11-22T12:00:00.000123Z","event":"message","kind":"RECEIVE","id":"04000000000000000000000000","origin":"CM000000000000000000000000","source":"SMTP","message_id":"m1@example.com","sender":"Alice@Example.com","size_bytes":1000,"recipients":["bob@example.net","carol@example.net"]}
{"ts":"2026-11-22T12:00:00.000123Z","event":"message","kind":"DELIVER","id":"04000000000000000000000000","origin":"CM000000000000000000000000","source":"SMTP","message_id":"m1@example.com","sender":"Alice@Example.com","peer":"mailbox","connector":"to \"x\"","status":"2.0.0","detail":"kept","size_bytes":1000,"table_version":7,"linked":"14000000000000000000000000","recipients":["bob@example.net","carol@example.net"]}
`
	if got := strings.Join(strings.SplitAfter(logs.String(), "\n")[:2], ""); got != want {
		t.Errorf("logged\n%swant\n%s", got, want)
	}
	if _, err := New(Config{Dir: t.TempDir(), Metrics: r}); err == nil {
		t.Error("the same metrics twice")
	}
}

func drawEvent(t *rapid.T) mail.Event {
	text := rapid.String()
	id := func(name string) (id mail.ID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
		return id
	}
	return mail.Event{
		At:     time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC(),
		Kind:   mail.EventKind(rapid.IntRange(int(mail.EventReceive), int(mail.EventDuplicate)).Draw(t, "kind")),
		Source: text.Draw(t, "source"), ID: id("id"), Origin: id("origin"), Linked: id("linked"), MessageID: text.Draw(t, "message_id"),
		Sender: text.Draw(t, "sender"), Recipients: rapid.SliceOfN(text, 1, 3).Draw(t, "recipients"), Peer: text.Draw(t, "peer"),
		Connector: text.Draw(t, "connector"), Status: text.Draw(t, "status"), Detail: text.Draw(t, "detail"),
		Size: rapid.Int64().Draw(t, "size"), Table: rapid.Uint64().Draw(t, "table"),
	}
}

func TestRecordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		line := appendRecord(nil, &e)
		if strings.Count(string(line), "\n") != 1 || !json.Valid(line) {
			t.Fatalf("not one line of JSON: %q", line)
		}
		got, err := parseRecord(line)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%q: got %+v, %v, want %+v", line, got, err, e)
		}
		m := newMatcher(Query{Sender: e.Sender, Recipient: e.Recipients[0], Message: e.ID.String()})
		if _, ok := m.match(line); !ok {
			t.Fatalf("%q is not found by its own sender, recipient and ID", line)
		}
	})
}

func FuzzStrings(f *testing.F) {
	f.Add("a\"\\\n\x00\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if json.Unmarshal(want, &a) != nil || json.Unmarshal(appendString(nil, s), &b) != nil || a != b {
			t.Errorf("%q is written as %q, which reads %q, want %q", s, appendString(nil, s), b, a)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	e := event(1, noon, mail.EventSend)
	f.Add(appendRecord(nil, &e))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseRecord(line)
		if err != nil {
			return
		}
		again, err := parseRecord(appendRecord(nil, &e))
		if err != nil || len(e.Recipients) > 0 && !reflect.DeepEqual(again, e) {
			t.Errorf("%q: reads %+v, then %+v, %v", line, e, again, err)
		}
	})
}

// TestWriterNamesDays: the day kept from the event before is never another event's.
func TestWriterNamesDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{}
		for range 20 {
			at := time.Unix(rapid.Int64Range(-3*secondsOfDay, 3*secondsOfDay).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
			if got, want := w.dayOf(at), dayOf(at); got != want {
				t.Fatalf("%v: %s, want %s", at, got, want)
			}
		}
	})
}

func TestFileNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"2026-11-22.0001.jsonl": true, "2026-11-22.12345.jsonl": true, "2026-11-22.0000.jsonl": false, "2026-11-22.1.jsonl": false,
		"2026-13-22.0001.jsonl": false, "2026-11-22.0001.jsonl.gz": false, "notes.txt": false, "": false, "2026-11-22": false,
	} {
		if _, _, got := parseFileName(name); got != ok {
			t.Errorf("%q: %v, want %v", name, got, ok)
		}
	}
}

// Wanted: 5 µs an event, all of it counted: the writer shares the processors.
func BenchmarkRecord(b *testing.B) {
	l := opened(b, Config{Dir: b.TempDir(), Now: time.Now})
	e := event(1, noon, mail.EventSend)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Record(e)
		}
	})
	b.ReportMetric(value(b, l.metrics.dropped)/float64(b.N)*100, "%dropped")
}

// BenchmarkWrite is what the writer spends on an event.
func BenchmarkWrite(b *testing.B) {
	w := &writer{files: files{dir: b.TempDir(), limit: fileLimit}}
	defer w.close()
	batch := make([]mail.Event, 1000)
	for i := range batch {
		batch[i] = event(1, noon, mail.EventSend)
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(batch) {
		if err := w.write(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSay is what an event costs in the node's own log.
func BenchmarkSay(b *testing.B) {
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel)
	l := opened(b, Config{Dir: b.TempDir(), Logger: zap.New(core)})
	e := event(1, noon, mail.EventSend)
	b.ReportAllocs()
	for b.Loop() {
		l.say(&e)
	}
}
