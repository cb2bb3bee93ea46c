package deliver

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lax are ways in which servers have wrongly ended lines. Each takes the octets
// apart into lines; with the strict way they are all that is known to have been used for smuggling.
func lax() map[string]func([]byte) [][]byte {
	split := func(ends ...string) func([]byte) [][]byte {
		return func(b []byte) (lines [][]byte) {
			start := 0
			for i := 0; i < len(b); {
				n := 0
				for _, e := range ends { // the longest first
					if n == 0 && strings.HasPrefix(string(b[i:min(len(b), i+4)]), e) {
						n = len(e)
					}
				}
				if n == 0 {
					i++
					continue
				}
				lines = append(lines, b[start:i])
				i += n
				start = i
			}
			return append(lines, b[start:])
		}
	}
	withoutNUL := func(f func([]byte) [][]byte) func([]byte) [][]byte {
		return func(b []byte) [][]byte { return f(bytes.ReplaceAll(b, []byte{0}, nil)) }
	}
	all := split("\r\n", "\r", "\n")
	return map[string]func([]byte) [][]byte{
		"CRLF":           split("\r\n"),
		"LF":             split("\n"),
		"CR":             split("\r"),
		"CRLF or LF":     split("\r\n", "\n"),
		"any":            all,
		"CR CR LF":       split("\r\r\n", "\r\n", "\n"),
		"any, NUL gone":  withoutNUL(all),
		"CRLF, NUL gone": withoutNUL(split("\r\n")),
	}
}

// endsEarly names a way of ending lines by which the octets hold an end of data
// before their own.
func endsEarly(wire []byte) string {
	for name, split := range lax() {
		lines := split(wire)
		// The last is what stands behind the last end of a line, the one before it the dot.
		for i, l := range lines[:len(lines)-1] {
			if string(l) == "." && i != len(lines)-2 {
				return name
			}
		}
	}
	return ""
}

func wireOf(t interface{ Fatal(...any) }, pieces ...string) []byte {
	var out bytes.Buffer
	d, flush := dotted(&out)
	for _, p := range pieces {
		if _, err := d.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.w.WriteString(d.terminator()); err != nil {
		t.Fatal(err)
	}
	flush()
	return out.Bytes()
}

// TestNothingIsSmuggledOut: every sequence that has ended data at some server,
// between every two others, leaves here in a form in which it does so nowhere.
func TestNothingIsSmuggledOut(t *testing.T) {
	ends := []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\x00\n", "\r\x00\n", "\r\n\x00"}
	for _, before := range ends {
		for _, after := range ends {
			content := "text" + before + "." + after + "MAIL FROM:<smuggled@example.com>\r\n"
			if how := endsEarly(wireOf(t, content)); how != "" {
				t.Errorf("%q is an end of data for a server that ends lines with %s", content, how)
			}
			if how := endsEarly([]byte(content + ".\r\n")); how == "" {
				t.Errorf("%q proves nothing", content)
			}
		}
	}
}

func TestNothingIsSmuggledOutInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{".", "..", "\r", "\n", "\r\n", "\r\n.", ".\r\n", "\x00", "x", "\n.\n", "\r.\r"})).Draw(t, "pieces")
		wire := wireOf(t, pieces...)
		for name, split := range lax() {
			lines := split(wire)
			for i, l := range lines[:len(lines)-1] {
				if string(l) == "." && i < len(lines)-2 {
					t.Fatalf("%q ends early for %s", wire, name)
				}
			}
		}
		// And who reads it as RFC 5321 has it gets all lines back.
		var got []byte
		lines := bytes.Split(wire, []byte("\r\n"))
		for _, l := range lines[:len(lines)-2] {
			got = append(append(got, bytes.TrimPrefix(l, []byte("."))...), "\r\n"...)
		}
		want := strings.Join(pieces, "")
		if clean := !strings.ContainsAny(strings.ReplaceAll(want, "\r\n", ""), "\r\n\x00"); clean {
			if want != "" && !strings.HasSuffix(want, "\r\n") {
				want += "\r\n"
			}
			if string(got) != want {
				t.Fatalf("%q was read as %q", want, got)
			}
		}
	})
}
