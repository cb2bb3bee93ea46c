package submit

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever pieces a content comes in, its nature is that of the whole.
func TestNature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pieces []string
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			n := rapid.SampledFrom([]int{0, 1, 7, 8, 9, 70, 498, 499, 500, 997, 998, 999, 1000, 1001, 2500}).Draw(t, "length")
			end := rapid.SampledFrom([]string{"", "\r\n", "\r\n", "\n", "\xe9", "\r", "\n\n"}).Draw(t, "end")
			pieces = append(pieces, strings.Repeat("x", n)+end)
		}
		whole := strings.Join(pieces, "")
		var got nature
		for b := []byte(whole); len(b) > 0; {
			n := min(len(b), rapid.SampledFrom([]int{1, 3, 999, 1000, 1001, 4096}).Draw(t, "cut"))
			got.note(b[:n])
			b = b[n:]
		}
		long := false
		for l := range bytes.SplitAfterSeq([]byte(whole), []byte("\n")) {
			// The end of a line that has none comes later, or never: 1000 octets without
			// LF are more than a line has room for.
			long = long || len(l) > maxLine || len(l) == maxLine && l[len(l)-1] != '\n'
		}
		if got.eightBit != strings.Contains(whole, "\xe9") || got.long != long {
			t.Fatalf("%+v of %q", got, whole)
		}
	})
}

func BenchmarkNature(b *testing.B) {
	text := []byte(strings.Repeat("All work and no play makes Jack a dull boy, over and over.\r\n", 172))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var n nature
		n.note(text)
	}
}
