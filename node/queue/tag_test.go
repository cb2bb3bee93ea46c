package queue

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestTagRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := tag{
			created:  rapid.Int64().Draw(t, "created"),
			attempts: rapid.IntRange(0, 1<<31-1).Draw(t, "attempts"),
			notified: rapid.Bool().Draw(t, "notified"),
			multi:    rapid.Bool().Draw(t, "multi"),
			by:       rapid.Int64().Draw(t, "by"),
			byReturn: rapid.Bool().Draw(t, "by return"),
		}
		want.failed = rapid.Int64().Draw(t, "failed")
		want.exempt = rapid.Bool().Draw(t, "exempt")
		if rapid.Bool().Draw(t, "held") {
			want.note = &Note{By: rapid.String().Draw(t, "by whom"), Reason: rapid.String().Draw(t, "reason"), At: rapid.Int64().Draw(t, "at")}
		}
		if rapid.Bool().Draw(t, "some") {
			want.targets = []int{}
			next := 0
			for range rapid.IntRange(0, 50).Draw(t, "targets") {
				next += rapid.IntRange(1, 300).Draw(t, "step")
				want.targets = append(want.targets, next-1)
			}
		}
		got, err := decodeTag(want.encode(), true)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		head, err := decodeTag(want.encode(), false)
		want.targets = nil
		if err != nil || !reflect.DeepEqual(head, want) {
			t.Fatalf("without targets: %+v, %v", head, err)
		}
	})
}

func FuzzDecodeTag(f *testing.F) {
	f.Add(tag{created: 1, attempts: 2, targets: []int{0, 5}}.encode())
	f.Add(tag{multi: true, attempts: 1, failed: 3}.encode())
	f.Add(tag{created: 1, note: &Note{By: "ada", Reason: "why", At: 7}, exempt: true}.encode())
	f.Add([]byte{1, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeTag(b, true)
		if err != nil {
			return
		}
		last := -1
		for _, i := range got.targets {
			if i <= last {
				t.Fatalf("targets %v do not rise", got.targets)
			}
			last = i
		}
		again, err := decodeTag(got.encode(), true)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%x: %+v became %+v, %v", b, got, again, err)
		}
		if len(got.encode()) > len(b) && !bytes.Equal(got.encode(), b) {
			t.Fatalf("%x grew to %x", b, got.encode())
		}
	})
}
