package postroad

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// docs/queues.md has for each thing that queues do the settings, the place where it
// is seen, and what shows it: tests that exist, settings that the directory has.
func TestQueuesPage(t *testing.T) {
	page, err := os.ReadFile("docs/queues.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("proto/postroad/directory/v1/directory.proto")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := testSources(t), 0
	for i, line := range strings.Split(string(page), "\n") {
		cells := tableRow(line)
		if cells == nil {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("docs/queues.md:%d has %d cells, not 4", i+1, len(cells))
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			if missing := unknownField(string(schema), m[1]); missing != "" {
				t.Errorf("docs/queues.md:%d: setting %s: the directory has no field %s", i+1, m[1], missing)
			}
		}
		proofs := quoted.FindAllStringSubmatch(cells[3], -1)
		if len(proofs) == 0 {
			t.Errorf("docs/queues.md:%d names no test", i+1)
		}
		for _, m := range proofs {
			if err := tests.find(m[1]); err != nil {
				t.Errorf("docs/queues.md:%d: %v", i+1, err)
			}
		}
	}
	if rows < 40 {
		t.Errorf("docs/queues.md has %d rows, of some fifty", rows)
	}
	for setting, missing := range map[string]string{"retry.first": "", "retry.fifth": "fifth", "retries.first": "retries"} {
		if got := unknownField(string(schema), setting); got != missing {
			t.Errorf("%s: unknown is %q, want %q", setting, got, missing)
		}
	}
}

// unknownField is the first part of a setting ("retry.delayNotice") that is the name
// of no field; "" if all are.
func unknownField(schema, setting string) string {
	for part := range strings.SplitSeq(setting, ".") {
		var name strings.Builder
		for _, r := range part {
			if unicode.IsUpper(r) {
				name.WriteByte('_')
			}
			name.WriteRune(unicode.ToLower(r))
		}
		if !regexp.MustCompile(`(?m)^\s.*\s` + regexp.QuoteMeta(name.String()) + ` = \d+;`).MatchString(schema) {
			return part
		}
	}
	return ""
}
