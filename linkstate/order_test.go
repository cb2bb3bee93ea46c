package linkstate

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// anyRecord draws records of one server from few values, so that ties happen.
func anyRecord(t *rapid.T, name string) *Record {
	r := &Record{
		Server:      GUID{1},
		Incarnation: rapid.Uint64Range(0, 2).Draw(t, name+" incarnation"),
		Sequence:    rapid.Uint64Range(0, 2).Draw(t, name+" sequence"),
		Status:      Status(rapid.IntRange(int(Alive), int(Down)).Draw(t, name+" status")),
		Since:       rapid.Int64Range(0, 1).Draw(t, name+" since"),
		Version:     rapid.SampledFrom([]string{"", "1"}).Draw(t, name+" version"),
		Unknown:     rapid.SampledFrom([][]byte{nil, {1}}).Draw(t, name+" unknown"),
	}
	if rapid.Bool().Draw(t, name+" connector") {
		r.Connectors = []ConnectorState{{Connector: GUID{9}, Down: rapid.Bool().Draw(t, name+" down")}}
	}
	return r
}

func same(a, b *Record) bool { return a.Hash() == b.Hash() }

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyRecord(t, "a"), anyRecord(t, "b"), anyRecord(t, "c")
		if !same(Merge(a, a), a) {
			t.Fatal("not idempotent")
		}
		if !same(Merge(a, b), Merge(b, a)) {
			t.Fatal("not commutative")
		}
		if !same(Merge(Merge(a, b), c), Merge(a, Merge(b, c))) {
			t.Fatal("not associative")
		}
		if Merge(a, nil) != a || Merge(nil, a) != a {
			t.Fatal("nil is not older than any record")
		}
	})
}

func TestCompareIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyRecord(t, "a"), anyRecord(t, "b"), anyRecord(t, "c")
		if Compare(a, b) != -Compare(b, a) {
			t.Fatalf("a to b %d, b to a %d", Compare(a, b), Compare(b, a))
		}
		if (Compare(a, b) == 0) != same(a, b) {
			t.Fatal("equal in order, different in content (or the other way round)")
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatal("not transitive")
		}
	})
}

func TestOrder(t *testing.T) {
	ascending := []*Record{
		{Incarnation: 1, Status: Alive, Sequence: 1},
		{Incarnation: 1, Status: Alive, Sequence: 9},
		{Incarnation: 1, Status: Suspect, Sequence: 2},
		{Incarnation: 1, Status: Down, Sequence: 1},
		{Incarnation: 2, Status: Alive, Sequence: 1},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare of %d and %d is %d", i, j, got)
			}
		}
	}
}

// Any field that is not in the hash could differ for ever between two nodes
// whose digests are equal.
func TestHashCoversEveryField(t *testing.T) {
	base := func() *Record {
		return &Record{Server: GUID{1}, Connectors: []ConnectorState{{Connector: GUID{2}}}}
	}
	changes := map[string]func(*Record){
		"server":            func(r *Record) { r.Server[3]++ },
		"incarnation":       func(r *Record) { r.Incarnation++ },
		"sequence":          func(r *Record) { r.Sequence++ },
		"status":            func(r *Record) { r.Status++ },
		"accuser":           func(r *Record) { r.Accuser[0]++ },
		"drain":             func(r *Record) { r.Drain++ },
		"version":           func(r *Record) { r.Version = "x" },
		"since":             func(r *Record) { r.Since++ },
		"unknown":           func(r *Record) { r.Unknown = []byte("x") },
		"connectors":        func(r *Record) { r.Connectors = nil },
		"connector":         func(r *Record) { r.Connectors[0].Connector[0]++ },
		"connector down":    func(r *Record) { r.Connectors[0].Down = true },
		"connector since":   func(r *Record) { r.Connectors[0].Since++ },
		"connector reason":  func(r *Record) { r.Connectors[0].Reason = "x" },
		"connector unknown": func(r *Record) { r.Connectors[0].Unknown = []byte("x") },
	}
	seen := map[Hash]string{base().Hash(): "nothing"}
	for name, change := range changes {
		r := base()
		change(r)
		if other, ok := seen[r.Hash()]; ok {
			t.Errorf("changing %s gives the hash of changing %s", name, other)
		}
		seen[r.Hash()] = name
	}
}

func TestTableAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, oracle := &Table{}, make(map[GUID]*Record)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			before, rows := table, table.All()
			r := anyRecord(t, "r")
			r.Server = GUID{rapid.Byte().Draw(t, "server") % 8}
			if rapid.IntRange(0, 5).Draw(t, "keep") == 0 {
				table = table.keep(func(g GUID) bool { return g != r.Server })
				delete(oracle, r.Server)
			} else {
				table = table.with(r, time.Time{})
				oracle[r.Server] = r
			}
			if !slices.Equal(rows, before.All()) {
				t.Fatal("an old snapshot changed")
			}
		}
		rebuilt := &Table{}
		for _, r := range oracle {
			rebuilt = rebuilt.with(r, time.Time{})
			if table.Get(r.Server) != r {
				t.Fatalf("record of %s differs", r.Server)
			}
		}
		if table.Len() != len(oracle) || table.Digest() != rebuilt.Digest() {
			t.Fatal("digest depends on the way the table came about")
		}
		if !slices.IsSortedFunc(table.All(), func(a, b *Record) int { return a.Server.Compare(b.Server) }) {
			t.Fatal("not sorted")
		}
	})
}

func TestBrief(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		" refused\r\n": "refused",
		"a\xffb":       "a?b",
		"\xc3\xa9":     "é",
		"dial tcp 192.0.2.1:25: connect: connection refused": "connection refused",
		"dial: no route": "dial: no route",
		"lookup mail.example on [::1]:53: no such host":                             "no such host",
		"451 4.3.2 mail.example.test: try again in a quarter of an hour":            "451 4.3.2 mail.example.test: try…",
		"tls: the certificate is not what it should be and this goes on and on and": "the certificate is not what it sh…",
	} {
		if got := brief(in); got != want {
			t.Errorf("brief(%q) = %q, want %q", in, got, want)
		}
	}
	// x, then two bytes each, then the sign that something is missing: three bytes.
	if got := brief("x" + strings.Repeat("é", 100)); len(got) != MaxReason || !strings.HasSuffix(got, "é…") || brief(got) != got {
		t.Errorf("clipped to %d bytes: %q", len(got), got)
	}
	rapid.Check(t, func(t *rapid.T) {
		if got := brief(rapid.String().Draw(t, "reason")); len(got) > MaxReason || !utf8.ValidString(got) {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
	})
}

func BenchmarkTableChange(b *testing.B) {
	table := &Table{}
	r := rand.New(rand.NewPCG(1, 1))
	records := make([]*Record, 3000)
	for i := range records {
		records[i] = &Record{Server: GUID{byte(r.Uint32()), byte(r.Uint32()), byte(i >> 8), byte(i)}, Status: Alive}
		table = table.with(records[i], time.Time{})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table = table.with(records[i%len(records)], time.Time{})
	}
}
