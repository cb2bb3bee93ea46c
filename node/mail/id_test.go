package mail

import (
	"strings"
	"testing"
	"time"
)

func TestParseID(t *testing.T) {
	id := NewID(time.UnixMilli(1_700_000_000_123), [10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 255})
	text := id.String()
	for _, s := range []string{text, strings.ToLower(text)} {
		if got, err := ParseID(s); err != nil || got != id {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", text[:25], text + "0", strings.Repeat("U", 26), strings.Repeat("é", 13)} {
		if got, err := ParseID(s); err == nil {
			t.Errorf("%q is taken for %s", s, got)
		}
	}
	// 26 characters have 130 bits, two more than an ID: one that differs in those only is
	// a slip of the hand, not another name of the message.
	n := 0
	for _, last := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
		if got, err := ParseID(text[:25] + string(last)); err == nil {
			n++
			if got.String() != text[:25]+string(last) {
				t.Errorf("...%c is taken for %s", last, got)
			}
		}
	}
	if n != 8 {
		t.Errorf("%d last characters are good, want 8", n)
	}
}
