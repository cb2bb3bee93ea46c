package submit_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/store/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// desk is a submitter over a real spool in memory.
type desk struct {
	*submit.Submitter
	spool *spool.Spool
	next  []*mail.Envelope
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	s, err := spool.Open("spool", spool.Options{FS: vfs.NewMem(), Free: func() (uint64, error) { return 1 << 40, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := &desk{spool: s}
	d.Submitter = submit.New(submit.Config{
		Store: s, Group: func() mail.GUID { return mail.GUID{7} }, Next: func(e *mail.Envelope) { d.next = append(d.next, e) },
		Now: func() time.Time { return noon }, Random: zeros{},
	})
	return d
}

func (d *desk) body(t testing.TB, id mail.ID) string {
	t.Helper()
	r, err := d.spool.OpenBody(spool.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func submission() *mail.Submission {
	return &mail.Submission{
		Envelope: &mail.Envelope{
			From: mail.Address{Local: "alice", Domain: "example.test"}, ClientHost: "192.0.2.1", ClientName: "client.example",
			Recipients: []mail.Recipient{{Address: mail.Address{Local: "bob", Domain: "example.test"}}},
		},
		By: "mail.example.test", With: "ESMTP", HopLimit: 30,
	}
}

const idText = "06EAJH8A000000000000000000"

const trace = "Received: from client.example ([192.0.2.1])\r\n" +
	"\tby mail.example.test with ESMTP id " + idText + "\r\n" +
	"\tfor <bob@example.test>; Sun, 01 Mar 2026 12:00:00 +0000\r\n"

func TestContent(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		complete       bool
		messageID      string
	}{
		{"ordinary", "Message-ID: <x@y>\r\nSubject: s\r\n\r\nbody\r\n", "Message-ID: <x@y>\r\nSubject: s\r\n\r\nbody\r\n", false, "x@y"},
		{"folded message id", "message-id:\r\n <x@y>\r\n\r\n", "message-id:\r\n <x@y>\r\n\r\n", false, "x@y"},
		{"first message id counts", "Message-ID: <1@y>\r\nMessage-ID: <2@y>\r\n\r\n", "Message-ID: <1@y>\r\nMessage-ID: <2@y>\r\n\r\n", false, "1@y"},
		{"message id with a blank is not shown", "Message-ID: <x y>\r\n\r\n", "Message-ID: <x y>\r\n\r\n", false, ""},
		{"nothing is added for strangers", "Subject: s\r\n\r\nb", "Subject: s\r\n\r\nb", false, ""},
		{"own users get what is missing", "Subject: s\r\n\r\nb",
			"Subject: s\r\nMessage-ID: <" + idText + "@mail.example.test>\r\nDate: Sun, 01 Mar 2026 12:00:00 +0000\r\n\r\nb", true, idText + "@mail.example.test"},
		{"only what is missing", "DATE: x\r\n\r\nb", "DATE: x\r\nMessage-ID: <" + idText + "@mail.example.test>\r\n\r\nb", true, idText + "@mail.example.test"},
		{"header only", "Subject: s\r\n", "Subject: s\r\n", false, ""},
		{"header cut off", "Date: x\r\nSubject: s", "Date: x\r\nSubject: s\r\nMessage-ID: <" + idText + "@mail.example.test>\r\n", true, idText + "@mail.example.test"},
		{"no header", "This is a test mail\r\n", "\r\nThis is a test mail\r\n", false, ""},
		{"no header, without a line end", "This is a test: mail", "\r\nThis is a test: mail", false, ""},
		{"text after some header", "Subject: s\r\nThis is text\r\nSubject: no\r\n", "Subject: s\r\n\r\nThis is text\r\nSubject: no\r\n", false, ""},
		{"continuation of nothing", " x: y\r\n", "\r\n x: y\r\n", false, ""},
		{"empty", "", "", false, ""},
		{"empty line only", "\r\n", "\r\n", false, ""},
		{"date in the body does not count", "Message-ID: <x@y>\r\n\r\nDate: x\r\n",
			"Message-ID: <x@y>\r\nDate: Sun, 01 Mar 2026 12:00:00 +0000\r\n\r\nDate: x\r\n", true, "x@y"},
		{"long header line", "X: " + strings.Repeat("x", 100_000) + "\r\nDate: d\r\nMessage-ID: <x@y>\r\n\r\nb",
			"X: " + strings.Repeat("x", 100_000) + "\r\nDate: d\r\nMessage-ID: <x@y>\r\n\r\nb", true, "x@y"},
		{"long text line", strings.Repeat("x", 100_000), "\r\n" + strings.Repeat("x", 100_000), false, ""},
	} {
		for _, slow := range []bool{false, true} {
			d, s := newDesk(t), submission()
			s.Complete = c.complete
			var r io.Reader = strings.NewReader(c.in)
			if slow {
				r = iotest.OneByteReader(r)
			}
			if err := d.Submit(s, r); err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := d.body(t, s.Envelope.ID); got != trace+c.want {
				t.Errorf("%s (slow %v):\n%.600q\nwant\n%.600q", c.name, slow, got, trace+c.want)
			}
			if s.Envelope.MessageID != c.messageID {
				t.Errorf("%s: message ID %q, want %q", c.name, s.Envelope.MessageID, c.messageID)
			}
		}
	}
}

// What the sender did not say of his content is found out: a host further on may take
// less than this one.
func TestNatureIsKept(t *testing.T) {
	long := strings.Repeat("x", 999) + "\r\n"
	for content, want := range map[string]struct {
		declared, body mail.BodyType
		long           bool
	}{
		"Subject: s\r\n\r\nplain\r\n":          {mail.Body7Bit, mail.Body7Bit, false},
		"Subject: s\r\n\r\nplain \r\n":         {mail.Body8BitMIME, mail.Body8BitMIME, false},
		"Subject: s\r\n\r\n\xe9\r\n":           {mail.Body7Bit, mail.Body8BitMIME, false},
		"Subject: \xc3\xa9\r\n\r\nx\r\n":       {mail.Body7Bit, mail.Body8BitMIME, false},
		"Subject: s\r\n\r\n\xe9 binary\r\n":    {mail.BodyBinaryMIME, mail.BodyBinaryMIME, false},
		"Subject: s\r\n\r\n" + long:            {mail.Body7Bit, mail.Body7Bit, true},
		"X: " + long + "\r\nshort\r\n":         {mail.Body7Bit, mail.Body7Bit, true},
		"Subject: s\r\n\r\n" + long[1:]:        {mail.Body7Bit, mail.Body7Bit, false},
		"Subject: s\r\n\r\n\xe9\r\n" + long:    {mail.Body7Bit, mail.Body8BitMIME, true},
		"Subject: s\r\n\r\nx\r\n" + long[:999]: {mail.Body7Bit, mail.Body7Bit, true},
		"Subject: s\r\n\r\nx\r\n" + long[:998]: {mail.Body7Bit, mail.Body7Bit, false},
	} {
		d, s := newDesk(t), submission()
		s.Envelope.Body = want.declared
		if err := d.Submit(s, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if e := s.Envelope; e.Body != want.body || e.LongLines != want.long {
			t.Errorf("%.40q: body %v, long %v; want %+v", content, e.Body, e.LongLines, want)
		}
	}
}

func TestEnvelopeIsCompleteAndDurable(t *testing.T) {
	d, s := newDesk(t), submission()
	content := "Received: a\r\nRECEIVED : b\r\n\tc\r\nX-Received: d\r\nImportance: High\r\n\r\nReceived: e\r\n"
	if err := d.Submit(s, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	e := s.Envelope
	if e.Hops != 3 || e.Size != int64(len(trace)+len(content)) || e.Priority != mail.PriorityHigh {
		t.Errorf("hops %d, size %d, priority %v", e.Hops, e.Size, e.Priority)
	}
	if e.Origin != e.ID || !e.Created.Equal(noon) || !e.Received.Equal(noon) {
		t.Errorf("origin %s of %s, created %v, received %v", e.Origin, e.ID, e.Created, e.Received)
	}
	if len(e.Visited) != 1 || e.Visited[0] != (mail.GUID{7}) {
		t.Errorf("visited %v", e.Visited)
	}
	if len(d.next) != 1 || d.next[0] != e {
		t.Fatalf("next saw %d envelopes", len(d.next))
	}
	stored, err := d.spool.Load(spool.ID(e.ID))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored.Envelope, codec.EncodeEnvelope(e)) {
		t.Error("the stored envelope is not the announced one")
	}
}

func TestWhatAnEarlierNodeSaidStays(t *testing.T) {
	d, s := newDesk(t), submission()
	group, origin, created := mail.GUID{5}, mail.ID{9}, noon.Add(-time.Hour)
	shared := []mail.GUID{group, {6}} // with room behind it that belongs to somebody else
	e := s.Envelope
	e.FromNode, e.Origin, e.Created, e.Visited, e.Priority = mail.GUID{1}, origin, created, shared[:1], mail.PriorityNormal
	if err := d.Submit(s, strings.NewReader("Priority: urgent\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if e.Origin != origin || !e.Created.Equal(created) || e.Priority != mail.PriorityNormal {
		t.Errorf("origin %v, created %v, priority %v", e.Origin, e.Created, e.Priority)
	}
	if len(e.Visited) != 2 || e.Visited[0] != group || e.Visited[1] != (mail.GUID{7}) || shared[1] != (mail.GUID{6}) {
		t.Errorf("visited %v, neighbour %v", e.Visited, shared[1])
	}
}

func TestVisitedTwiceInARowIsOnce(t *testing.T) {
	d, s := newDesk(t), submission()
	s.Envelope.Visited = []mail.GUID{{7}, {8}, {7}}
	if err := d.Submit(s, strings.NewReader("\r\n")); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Envelope.Visited); n != 3 {
		t.Errorf("%d groups", n)
	}
}

func TestRefusals(t *testing.T) {
	wire := errors.New("bare LF")
	for _, c := range []struct {
		name    string
		content io.Reader
		change  func(*mail.Submission)
		code    int
		status  string
	}{
		{"hop count", strings.NewReader(strings.Repeat("Received: x\r\n", 30) + "\r\n"), nil, 554, "5.4.6"},
		{"too large", strings.NewReader(strings.Repeat("x", 1001)), func(s *mail.Submission) { s.MaxSize = 1000 }, 552, "5.2.3"},
		{"header too large", strings.NewReader(strings.Repeat("X: y\r\n", 200_000)), nil, 552, "5.2.3"},
		{"header line too large", strings.NewReader("X: " + strings.Repeat("y", 2<<20)), nil, 552, "5.2.3"},
		{"error in the header", io.MultiReader(strings.NewReader("Subject: x\r\nTo"), iotest.ErrReader(wire)), nil, 0, ""},
		{"error in the body", io.MultiReader(strings.NewReader("\r\nbody"), iotest.ErrReader(wire)), nil, 0, ""},
	} {
		d, s := newDesk(t), submission()
		if c.change != nil {
			c.change(s)
		}
		err := d.Submit(s, c.content)
		var r *submit.Refusal
		switch {
		case c.code == 0:
			if !errors.Is(err, wire) {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.As(err, &r) || r.Reply().Code != c.code || r.Reply().Status.String() != c.status:
			t.Errorf("%s: %v", c.name, err)
		}
		if ids, err := d.spool.Submitted(spool.ID{}, 10); len(ids) != 0 || err != nil || len(d.next) != 0 {
			t.Errorf("%s: %d stored, %d announced, %v", c.name, len(ids), len(d.next), err)
		}
	}
}

func TestExactlyAtTheLimits(t *testing.T) {
	d, s := newDesk(t), submission()
	content := strings.Repeat("Received: x\r\n", 29) + "\r\n"
	s.MaxSize = int64(len(content))
	if err := d.Submit(s, strings.NewReader(content)); err != nil || s.Envelope.Hops != 30 {
		t.Errorf("%v, %d hops", err, s.Envelope.Hops)
	}
}

// TestLongBodyAtTheLimit: what lies behind the read buffer is counted, whether the
// source can write by itself or is read, and arrives whole.
func TestLongBodyAtTheLimit(t *testing.T) {
	content := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 20_000)
	for name, source := range map[string]func() io.Reader{
		"writes":  func() io.Reader { return strings.NewReader(content) },
		"is read": func() io.Reader { return iotest.HalfReader(strings.NewReader(content)) },
	} {
		d, s := newDesk(t), submission()
		s.MaxSize = int64(len(content)) - 1
		var r *submit.Refusal
		if err := d.Submit(s, source()); !errors.As(err, &r) || r.Reply().Code != 552 {
			t.Errorf("%s, an octet too much: %v", name, err)
		}
		s = submission()
		s.MaxSize = int64(len(content))
		if err := d.Submit(s, source()); err != nil {
			t.Fatalf("%s, just enough: %v", name, err)
		}
		if got := d.body(t, s.Envelope.ID); !strings.HasSuffix(got, content[len("Subject: x\r\n"):]) {
			t.Errorf("%s: %d octets stored of %d", name, len(got), len(content))
		}
	}
}

// A store that has no room answers 452 and keeps nothing.
type full struct{ *spool.Spool }

func (full) Accept(...spool.Incoming) error { return spool.ErrFull }

type broken struct{ *spool.Spool }

func (broken) Accept(...spool.Incoming) error { return spool.ErrFailed }

func TestStorageFailures(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		store submit.Store
		code  int
		cause error
	}{{full{d.spool}, 452, spool.ErrFull}, {broken{d.spool}, 451, spool.ErrFailed}} {
		sub := submit.New(submit.Config{Store: c.store, Next: func(*mail.Envelope) { t.Error("announced") }})
		err := sub.Submit(submission(), strings.NewReader("Subject: x\r\n\r\n"))
		var r *submit.Refusal
		if !errors.As(err, &r) || r.Reply().Code != c.code || !errors.Is(err, c.cause) {
			t.Errorf("%v", err)
		}
		if strings.Contains(r.Reply().String(), "spool") {
			t.Errorf("the client is told of the inside: %s", r.Reply())
		}
	}
}

func TestPrepareAcceptsNothing(t *testing.T) {
	d, s := newDesk(t), submission()
	s.Envelope = &mail.Envelope{System: true, Recipients: s.Envelope.Recipients}
	s.With = ""
	in, err := d.Prepare(s, strings.NewReader("Subject: Undeliverable\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if ids, _ := d.spool.Submitted(spool.ID{}, 10); len(ids) != 0 || len(d.next) != 0 {
		t.Fatalf("%d stored, %d announced", len(ids), len(d.next))
	}
	if err := d.spool.Accept(in); err != nil {
		t.Fatal(err)
	}
	d.Announce(s.Envelope)
	want := "Received: by mail.example.test id " + idText + "\r\n\tfor <bob@example.test>; Sun, 01 Mar 2026 12:00:00 +0000\r\n" +
		"Subject: Undeliverable\r\n\r\n"
	if got := d.body(t, s.Envelope.ID); got != want || len(d.next) != 1 {
		t.Errorf("%q, %d announced", got, len(d.next))
	}
}
