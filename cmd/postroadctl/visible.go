package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible shows control characters instead of sending them to a terminal: addresses,
// replies and Message-IDs are what strangers wrote. \u001b is what JSON has for them, so
// that documents stay what they are.
type visible struct{ io.Writer }

func (v visible) Write(b []byte) (int, error) {
	n := len(b)
	if bytes.ContainsFunc(b, acts) || !utf8.Valid(b) {
		var out bytes.Buffer
		for len(b) > 0 {
			r, size := utf8.DecodeRune(b)
			switch {
			case r == utf8.RuneError && size == 1:
				fmt.Fprintf(&out, `\x%02x`, b[0]) // some terminals take 9B alone for ESC [
			case acts(r):
				fmt.Fprintf(&out, `\u%04x`, r)
			default:
				out.WriteRune(r)
			}
			b = b[size:]
		}
		b = out.Bytes()
	}
	if _, err := v.Writer.Write(b); err != nil {
		return 0, err
	}
	return n, nil
}

// acts says whether a terminal does something at a character, other than to write on.
func acts(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// cell keeps a value within its cell: text/tabwriter ends it at these.
func cell(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\t\n\v\f\r", r) {
			return ' '
		}
		return r
	}, s)
}
