package mail

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a reply says as one line can be read back; other words are no reply.
func TestParseReply(t *testing.T) {
	for text, want := range map[string]string{
		"550 5.1.1 User unknown": "550 5.1.1 [User unknown]", "451 try again": "451  [try again]", "250": "250  []", "550 5.1.1": "550 5.1.1 []",
		"550 4.7.1 odd": "550  [4.7.1 odd]", "the host is not responding": "", "": "", "12 x": "", "5500 x": "", "100 x": "", "5x0 y": "",
	} {
		got := ""
		if r, ok := ParseReply(text); ok {
			status := ""
			if !r.Status.IsZero() {
				status = r.Status.String()
			}
			got = strings.Join([]string{text[:3], status, "[" + r.Text() + "]"}, " ")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Reply{Code: rapid.IntRange(400, 599).Draw(t, "code"), Lines: rapid.SliceOfN(rapid.StringMatching(`[a-z][ -~]{0,20}`), 1, 3).Draw(t, "lines")}
		if rapid.Bool().Draw(t, "status") {
			r.Status = Status{uint16(r.Code / 100), 1, 2}
		}
		got, ok := ParseReply(r.String())
		if !ok || got.Code != r.Code || got.Status != r.Status || !slices.Equal(strings.Fields(got.Text()), strings.Fields(r.Text())) {
			t.Fatalf("%+v became %+v", r, got)
		}
	})
}
