package dsn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPasses(t *testing.T) {
	const at = "Wed, 04 Mar 2026 05:06:07 +0000"
	for name, c := range map[string]struct {
		header string
		want   []string
	}{
		"none":            {"Subject: x\r\n", nil},
		"the last first":  {"Received: from b by c; " + at + "\r\nReceived: from a by b; Wed, 4 Mar 2026 06:05:07 +0100\r\n", []string{"Wed, 04 Mar 2026 05:05:07 +0000: b, from a", at + ": c, from b (1 minute later)"}},
		"folded, comment": {"Received: from a\r\n\t(by x; really) by\r\n b with ESMTP (from; y);\r\n\t" + at + "\r\n", []string{at + ": b, from a"}},
		"no date":         {"Received: from a by b\r\n", []string{"(no time): b, from a"}},
		"odd date":        {"Received: by b; yesterday\r\n", []string{"(no time): b"}},
		"clocks differ":   {"Received: by c; " + at + "\r\nReceived: by b; Wed, 4 Mar 2026 07:00:00 +0000\r\n", []string{"Wed, 04 Mar 2026 07:00:00 +0000: b", at + ": c"}},
		"empty":           {"Received:\r\nReceived: x\r\n", nil},
		"received-spf":    {"Received-SPF: pass by x\r\n", nil},
	} {
		var got []string
		list := passes([]byte(c.header))
		for i := range list {
			var before *pass
			if i > 0 {
				before = &list[i-1]
			}
			got = append(got, list[i].line(before))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	var loop strings.Builder
	for i := range 50 {
		fmt.Fprintf(&loop, "Received: by h%d\r\n", i)
	}
	if list := passes([]byte(loop.String())); len(list) != maxPasses || list[maxPasses-1].by != "h0" {
		t.Errorf("of a loop %d are shown, the last is %+v", len(list), list[len(list)-1])
	}
}

func TestSpoken(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1 second", 59600 * time.Millisecond: "1 minute", 61 * time.Second: "1 minute 1 second", time.Hour: "1 hour", 3*time.Hour + 5*time.Minute + 9*time.Second: "3 hours 5 minutes",
		25 * time.Hour: "1 day 1 hour", 48*time.Hour + time.Minute: "2 days", 1<<63 - 1: "106751 days 23 hours",
	} {
		if got := spoken(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSubject(t *testing.T) {
	for header, want := range map[string]string{
		"Subject: Lunch\r\n": "Lunch", "SUBJECT: =?utf-8?Q?D=C3=A9j?=\r\n =?utf-8?Q?euner?=\r\n": "Déjeuner", "To: x\r\n": "",
		"Subject: =?nosuch?Q?x?=\r\n": "=?nosuch?Q?x?=",
	} {
		if got := subjectOf([]byte(header)); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// Whatever header a message has, the report about it keeps to the letter.
func FuzzHeader(f *testing.F) {
	f.Add("Received: from a (b; c) by d; Wed, 4 Mar 2026 06:05:07 +0100\r\nSubject: =?utf-8?B?w7w=?=\r\nDate: x\r\n")
	f.Add("Received: (((((\r\n\t\r\nSubject:\x00\x01\xff\r\n")
	f.Fuzz(func(t *testing.T, head string) {
		if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00") || slices.ContainsFunc(strings.Split(head, "\r\n"), func(l string) bool { return len(l) > 998 }) {
			return // no message has that: the server refuses it
		}
		in := input(Delay, to(bob, refused()))
		in.Original, in.Complete = []byte(head+"\r\n\r\nbody\r\n"), true
		content, _, ok := Report(in)
		if !ok {
			t.Fatal("no report")
		}
		if err := strict(content); err != nil {
			t.Errorf("%v\n%s", err, content)
		}
	})
}
