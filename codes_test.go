package postroad

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/dsn/codes"
)

var update = flag.Bool("update", false, "write the pages that are made of the code")

const codesPage = "docs/ndr-codes.md"

// docs/ndr-codes.md says what the code says, and each row names a test. With
// -update the words are written anew, and the names of the tests stay.
func TestCodesPage(t *testing.T) {
	text, err := os.ReadFile(codesPage)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if cells := tableRow(line); cells != nil {
			shown[cells[0]] = cells[len(cells)-1]
		}
	}
	want := string(text)
	for name, book := range map[string]bool{"book": true, "others": false} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		head, rest, ok := strings.Cut(want, begin)
		_, tail, also := strings.Cut(rest, end)
		if !ok || !also {
			t.Fatalf("%s has no %q and %q", codesPage, begin, end)
		}
		want = head + begin + codesTable(book, shown) + end + tail
	}
	if *update {
		if err := os.WriteFile(codesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s does not say what node/dsn/codes says; run go test -run TestCodesPage -update .", codesPage)
	}
	for _, c := range codes.All() {
		if c.Book && !quoted.MatchString(shown[c.Status.String()]) {
			t.Errorf("%s: no test shows %s", codesPage, c.Status)
		}
	}
}

func codesTable(book bool, shown map[string]string) string {
	var b strings.Builder
	b.WriteString("| Code | When Postroad gives it | What the sender reads | For the administrator | Shown by |\n|---|---|---|---|---|\n")
	for _, c := range codes.All() {
		if c.Book == book {
			fmt.Fprintf(&b, "| %s | %s | %s %s | %s | %s |\n", c.Status, c.Here, c.Cause, c.Cure, c.Check, shown[c.Status.String()])
		}
	}
	return b.String()
}

// Each code of the book is given somewhere, but those of which the page says that
// they come from others alone.
func TestCodesAreGiven(t *testing.T) {
	declared := regexp.MustCompile(`(Status\w+)\s*= Status\{(\d), (\d), (\d+)\}`)
	text, err := os.ReadFile("node/mail/status.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
		names[m[2]+"."+m[3]+"."+m[4]] = m[1]
	}
	// 5.0.0 is what mail.FromReply makes of a reply without a code.
	exempt := []string{"5.0.0"}
	all := goSources(t)
	for _, c := range codes.All() {
		s := c.Status.String()
		foreign := strings.HasPrefix(c.Here, "Never by Postroad") || strings.HasPrefix(c.Here, "Passed on when a host answers with it. A host")
		if !c.Book || foreign || slices.Contains(exempt, s) {
			continue
		}
		name := names[s]
		if name == "" && s == "5.2.1" {
			name = names["4.2.1"]
		}
		if name == "" || !strings.Contains(all, "mail."+name) {
			t.Errorf("%s (%s) is given nowhere", s, name)
		}
	}
}
