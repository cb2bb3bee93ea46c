package codec_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
)

func genID[T ~[16]byte](t *rapid.T, label string) T {
	var id T
	if rapid.Bool().Draw(t, label+" set") {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	}
	return id
}

func genGUIDs(t *rapid.T, label string, most int) []mail.GUID {
	n := rapid.IntRange(0, most).Draw(t, label+" length")
	if n == 0 {
		return nil
	}
	out := make([]mail.GUID, n)
	for i := range out {
		out[i] = genID[mail.GUID](t, label)
	}
	return out
}

// genTime draws times as they come back: UTC, whole units, never the first
// instant of 1970, which stands for the zero time.
func genTime(t *rapid.T, label string, unit time.Duration) time.Time {
	n := rapid.Int64Range(-1e12, 1e12).Draw(t, label)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n * int64(unit/time.Microsecond)).UTC()
}

func genAddress(t *rapid.T, label string) mail.Address {
	return mail.Address{Local: rapid.String().Draw(t, label+" local"), Domain: rapid.String().Draw(t, label+" domain")}
}

func genPriority(t *rapid.T) mail.Priority {
	return mail.Priority(rapid.IntRange(-1, 1).Draw(t, "priority"))
}

func genNotify(t *rapid.T) mail.Notify { return mail.Notify(rapid.IntRange(0, 15).Draw(t, "notify")) }

func genEnvelope(t *rapid.T) *mail.Envelope {
	e := &mail.Envelope{
		ID: genID[mail.ID](t, "id"), Origin: genID[mail.ID](t, "origin"),
		MessageID: rapid.String().Draw(t, "message id"),
		Received:  genTime(t, "received", time.Microsecond), Created: genTime(t, "created", time.Microsecond),
		Size: rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"), From: genAddress(t, "from"),
		Body: mail.BodyType(rapid.IntRange(0, 2).Draw(t, "body")), UTF8: rapid.Bool().Draw(t, "utf8"),
		Return: rapid.SampledFrom([]string{"", "FULL", "HDRS"}).Draw(t, "return"), EnvelopeID: rapid.String().Draw(t, "envid"),
		Priority: genPriority(t), System: rapid.Bool().Draw(t, "system"),
		ClientHost: rapid.String().Draw(t, "host"), ClientName: rapid.String().Draw(t, "name"),
		Account: rapid.String().Draw(t, "account"), FromNode: genID[mail.GUID](t, "node"),
		Hops: rapid.IntRange(0, math.MaxInt32).Draw(t, "hops"), Visited: genGUIDs(t, "visited", 4),
		Connector: genID[mail.GUID](t, "connector"), VirtualServer: genID[mail.GUID](t, "virtual server"),

		LongLines:  rapid.Bool().Draw(t, "long lines"),
		RequireTLS: rapid.Bool().Draw(t, "require tls"), MTPriority: mail.MTPriority(rapid.IntRange(-9, 9).Draw(t, "mt-priority")),
		DeliverBy: mail.DeliverBy{
			Deadline: genTime(t, "by", time.Millisecond), Return: rapid.Bool().Draw(t, "by-mode"), Trace: rapid.Bool().Draw(t, "by-trace"),
		},
		HoldUntil: genTime(t, "hold until", time.Millisecond), HoldFor: time.Duration(rapid.IntRange(0, 999_999_999).Draw(t, "hold for")) * time.Second,
		Notified: rapid.Bool().Draw(t, "notified"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "recipients") {
		e.Recipients = append(e.Recipients, mail.Recipient{
			Address: genAddress(t, "to"), Original: rapid.String().Draw(t, "original"), Notify: genNotify(t),
		})
	}
	return e
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genEnvelope(t)
		got, err := codec.DecodeEnvelope(codec.EncodeEnvelope(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestPlanRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []mail.Target
		for range rapid.IntRange(0, 5).Draw(t, "targets") {
			want = append(want, mail.Target{
				Address: genAddress(t, "address"), Foreign: rapid.String().Draw(t, "foreign"),
				Original: rapid.String().Draw(t, "original"), Recipient: rapid.IntRange(0, math.MaxInt32).Draw(t, "recipient"),
				Notify: genNotify(t), Mailbox: genID[mail.GUID](t, "mailbox"),
				Destination: mail.Destination{
					Place: mail.Place(rapid.IntRange(0, 2).Draw(t, "place")), Server: genID[mail.GUID](t, "server"),
					Type: rapid.String().Draw(t, "type"), Domain: rapid.String().Draw(t, "domain"),
					Connector: genID[mail.GUID](t, "connector"),
				},
			})
		}
		got, err := codec.DecodePlan(codec.EncodePlan(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestAttemptRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := codec.Attempt{
			Attempts: rapid.IntRange(0, math.MaxInt32).Draw(t, "attempts"), Last: genTime(t, "last", time.Microsecond),
			Text: rapid.String().Draw(t, "text"), Remote: rapid.String().Draw(t, "remote"), DelayReported: rapid.Bool().Draw(t, "delay"),
		}
		if rapid.Bool().Draw(t, "has status") {
			part := rapid.Uint16Range(0, 999)
			want.Status = mail.Status{Class: rapid.SampledFrom([]uint16{2, 4, 5}).Draw(t, "class"), Subject: part.Draw(t, "subject"), Detail: part.Draw(t, "detail")}
		}
		got, err := codec.DecodeAttempt(codec.EncodeAttempt(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestPassportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := codec.Passport{
			Origin: genID[mail.ID](t, "origin"), Created: genTime(t, "created", time.Millisecond),
			Visited: genGUIDs(t, "visited", 20), Connector: genID[mail.GUID](t, "connector"),
			Priority: genPriority(t), System: rapid.Bool().Draw(t, "system"), Account: rapid.StringN(0, 64, 255).Draw(t, "account"),
			Revision: rapid.Int64Min(0).Draw(t, "revision"), HeldUntil: genTime(t, "held until", time.Millisecond),
			HeldFor: time.Duration(rapid.IntRange(0, 999_999_999).Draw(t, "held for")) * time.Second, Notified: rapid.Bool().Draw(t, "notified"),
		}
		s := codec.EncodePassport(want)
		// RFC 5321 section 4.1.2: esmtp-value is any printable but "=".
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '=' }) {
			t.Fatalf("%q is not an esmtp-value", s)
		}
		got, err := codec.DecodePassport(s)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

// The longest way a message may go still fits the bound that receivers keep.
func TestLongestPassportIsReadable(t *testing.T) {
	p := codec.Passport{Origin: mail.ID{1}, Created: time.UnixMilli(9_000_000_000_000), Connector: mail.GUID{1}, Account: strings.Repeat("a", 300), Revision: math.MaxInt64}
	for i := range codec.MaxVisited + 50 {
		p.Visited = append(p.Visited, mail.GUID{byte(i), byte(i >> 8), 1})
	}
	got, err := codec.DecodePassport(codec.EncodePassport(p))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Visited, p.Visited[50:]) {
		t.Errorf("kept %d groups, not the newest %d", len(got.Visited), codec.MaxVisited)
	}
}

func TestWhatEncodersCannotHoldIsRepaired(t *testing.T) {
	e := &mail.Envelope{ID: mail.ID{1}, ClientName: "caf\xe9", MessageID: "\xff@x", Priority: 9, Hops: -1}
	got, err := codec.DecodeEnvelope(codec.EncodeEnvelope(e))
	if err != nil {
		t.Fatal(err)
	}
	if got.ClientName != "caf\uFFFD" || got.MessageID != "\uFFFD@x" || got.Priority != mail.PriorityHigh || got.Hops != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestCorruptRecords(t *testing.T) {
	for name, b := range map[string][]byte{
		"cut off":     codec.EncodeEnvelope(&mail.Envelope{ID: mail.ID{1}})[:5],
		"short id":    {0x0a, 3, 1, 2, 3},
		"body 9":      {0x50, 9},
		"priority 5":  {0x70, 10},
		"hops":        {0xa0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"visited":     {0xaa, 1, 1, 7},
		"notify 16":   {0x4a, 2, 0x20, 16},
		"size < 0":    {0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"not a field": {0x07},
	} {
		if e, err := codec.DecodeEnvelope(b); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
	for _, s := range []string{"=", "****", "AB=", strings.Repeat("A", codec.MaxPassport+4)} {
		if _, err := codec.DecodePassport(s); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("passport %.10q: %v", s, err)
		}
	}
}
