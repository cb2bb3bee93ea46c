package codec_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
)

// What a decoder accepts must survive another round: a message that was read
// once can be read again.
func stable[V any](t *testing.T, v V, err error, encode func(V) []byte, decode func([]byte) (V, error)) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, codec.ErrCorrupt) {
			t.Fatalf("error does not wrap ErrCorrupt: %v", err)
		}
		return
	}
	again, err := decode(encode(v))
	if err != nil || !reflect.DeepEqual(v, again) {
		t.Fatalf("second round: %v\n%+v\n%+v", err, v, again)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(codec.EncodeEnvelope(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := codec.DecodeEnvelope(b)
		stable(t, e, err, codec.EncodeEnvelope, codec.DecodeEnvelope)
	})
}

func FuzzDecodePlan(f *testing.F) {
	f.Add(codec.EncodePlan([]mail.Target{{Address: mail.Address{Local: "a", Domain: "b"}, Destination: mail.Destination{Place: mail.PlaceServer, Server: mail.GUID{1}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := codec.DecodePlan(b)
		stable(t, p, err, codec.EncodePlan, codec.DecodePlan)
	})
}

func FuzzDecodeAttempt(f *testing.F) {
	f.Add(codec.EncodeAttempt(codec.Attempt{Attempts: 1, Status: mail.StatusNoAnswer, Text: "no answer"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := codec.DecodeAttempt(b)
		stable(t, a, err, codec.EncodeAttempt, codec.DecodeAttempt)
	})
}

func FuzzDecodePassport(f *testing.F) {
	f.Add(codec.EncodePassport(codec.PassportOf(sample())))
	f.Add("not base64url!")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := codec.DecodePassport(s)
		stable(t, p, err,
			func(p codec.Passport) []byte { return []byte(codec.EncodePassport(p)) },
			func(b []byte) (codec.Passport, error) { return codec.DecodePassport(string(b)) })
	})
}

func sample() *mail.Envelope {
	return &mail.Envelope{
		ID: mail.ID{1, 2}, Origin: mail.ID{3}, MessageID: "x@example.test",
		Received: time.UnixMicro(1_700_000_000_000_000).UTC(), Created: time.UnixMicro(1_700_000_000_000_000).UTC(),
		Size: 10240, From: mail.Address{Local: "alice", Domain: "example.test"},
		Recipients: []mail.Recipient{{Address: mail.Address{Local: "bob", Domain: "example.test"}, Notify: mail.NotifyFailure}},
		ClientHost: "192.0.2.1", ClientName: "client.example", Hops: 1, Visited: []mail.GUID{{7}}, Priority: mail.PriorityHigh,
	}
}

func BenchmarkEncodeEnvelope(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		codec.EncodeEnvelope(e)
	}
}

func BenchmarkDecodeEnvelope(b *testing.B) {
	raw := codec.EncodeEnvelope(sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.DecodeEnvelope(raw); err != nil {
			b.Fatal(err)
		}
	}
}
