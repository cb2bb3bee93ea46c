package codes

import (
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// bookTable is table 2 of chapter 7.
var bookTable = strings.Fields("5.0.0 5.1.0 5.1.1 5.1.3 5.1.4 5.1.6 5.1.7 5.2.1 5.2.2 5.2.3 4.3.1 4.3.2 5.3.3 5.3.5 5.4.0 4.4.1 4.4.2 5.4.4 4.4.6 5.4.6 4.4.7 5.4.8 5.5.0 5.5.2 5.5.3 5.7.1")

// The book's codes are all there, each with all its words. Two classes of one detail
// are told apart where they mean two things.
func TestTable(t *testing.T) {
	var book []string
	for i, c := range All() {
		if c.Book {
			book = append(book, c.Status.String())
		}
		for _, s := range []string{c.Cause, c.Cure, c.Check, c.Here} {
			if s == "" || !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, ")") || strings.Contains(s, "|") {
				t.Errorf("%s: %q is no sentence for a table", c.Status, s)
			}
		}
		if i > 0 {
			if b := All()[i-1].Status; slices.Compare(order(b), order(c.Status)) >= 0 {
				t.Errorf("%s comes after %s", c.Status, b)
			}
		}
	}
	if !slices.Equal(book, bookTable) {
		t.Errorf("of the book there are\n%v, want\n%v", book, bookTable)
	}
}

func TestFind(t *testing.T) {
	for status, want := range map[string]string{
		"5.1.1": "5.1.1", "4.1.1": "5.1.1", "5.4.6": "5.4.6", "4.4.6": "4.4.6", "5.7.99": "5.7.0", "4.2.99": "4.2.0", "2.0.0": "5.0.0", "5.9.0": "", "5.9.1": "", "5.8.7": "",
	} {
		s, ok := mail.ParseStatus(status)
		c, found := Find(s)
		if !ok || found != (want != "") || c.Status.String() != want {
			t.Errorf("%s: %s %v", status, c.Status, found)
		}
	}
}

func order(s mail.Status) []uint16 { return []uint16{s.Subject, s.Detail, s.Class} }
