package postroad

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// proven lists the pages that claim something in tables and name, in the last
// column, what shows it. A row that says yes or partly needs at least one proof.
// Each proof stands in backticks:
//
//	`smtpd.TestDialogues`         a test, fuzz target or benchmark; the package by the end of its path
//	`deliver.TestOnward/by-trace` a case of it
//	`smtpd/order.txt`             a file in the package's testdata
var proven = []string{"docs/rfc-status.md", "docs/ndr-codes.md"}

func TestNamedProofsExist(t *testing.T) {
	tests := testSources(t)
	for _, page := range proven {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for i, line := range strings.Split(string(b), "\n") {
			cells := tableRow(line)
			if cells == nil {
				continue
			}
			rows++
			names := quoted.FindAllStringSubmatch(cells[len(cells)-1], -1)
			claims := slices.ContainsFunc(cells, func(c string) bool { return c == "yes" || c == "partly" })
			if claims && len(names) == 0 {
				t.Errorf("%s:%d claims something and names no test: %s", page, i+1, line)
			}
			for _, n := range names {
				if err := tests.find(n[1]); err != nil {
					t.Errorf("%s:%d: %v", page, i+1, err)
				}
			}
		}
		if rows == 0 {
			t.Errorf("%s has no table", page)
		}
	}
}

// A table with a column "Where" names the code that does what a row says:
//
//	`dsn.wanted`              a function, type, method or constant; the package by the end of its path
//	`dsn.writer.choose`       a method of a type
func TestNamedPlacesExist(t *testing.T) {
	code := goFiles(t)
	for _, page := range proven {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		where := -1
		for i, line := range strings.Split(string(b), "\n") {
			if !strings.HasPrefix(line, "|") {
				where = -1
				continue
			}
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if w := slices.IndexFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "Where" }); w >= 0 {
				where = w
				continue
			}
			if where < 0 || where >= len(cells) {
				continue
			}
			names := quoted.FindAllStringSubmatch(cells[where], -1)
			claims := slices.ContainsFunc(cells, func(c string) bool { c = strings.TrimSpace(c); return c == "yes" || c == "partly" })
			if claims && len(names) == 0 {
				t.Errorf("%s:%d claims something and names no code: %s", page, i+1, line)
			}
			for _, n := range names {
				if err := code.declares(n[1]); err != nil {
					t.Errorf("%s:%d: %v", page, i+1, err)
				}
			}
		}
	}
}

func TestPlacesCanFail(t *testing.T) {
	code := goFiles(t)
	for name, exists := range map[string]bool{
		"dsn.Report": true, "dsn.writer.choose": true, "dsn.Kind": true, "dsn.Bound": true, "node/dsn.Report": true, "mail.StatusOK": true,
		"dsn.NoSuch": false, "dsn.writer.nosuch": false, "nowhere.Report": false, "dsn.nosuch.choose": false, "Report": false, "dsn.writer": true,
	} {
		if err := code.declares(name); (err == nil) != exists {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// declares says with an error that no package of that name declares it.
func (s sources) declares(name string) error {
	m := placeName.FindStringSubmatch(name)
	if m == nil {
		return fmt.Errorf("`%s` is neither PACKAGE.Name nor PACKAGE.Type.Method", name)
	}
	want := `(?m)^func (\([^)]*\) )?` + m[2] + `[(\[]|^(type|var|const) ` + m[2] + `\b|^\t` + m[2] + `\s+(=|[\w.\[\]*]+\s*=|[\w.]+$)`
	if m[3] != "" {
		want = `(?m)^func \(\w* ?\*?` + m[2] + `\) ` + m[3] + `\(`
	}
	declared := regexp.MustCompile(want)
	for folder, text := range s {
		if endsWith(folder, m[1]) && declared.MatchString(text) {
			return nil
		}
	}
	return fmt.Errorf("no `%s` is declared", name)
}

var placeName = regexp.MustCompile(`^([a-z0-9/]+)\.(\w+)(?:\.(\w+))?$`)

// Each kind of mistake is found; otherwise the test above proves nothing.
func TestProofsCanFail(t *testing.T) {
	tests := testSources(t)
	for name, exists := range map[string]bool{
		"smtpd.TestDialogues": true, "smtpd/order.txt": true, "deliver.TestOnward/by-trace": true, "node/smtpd.FuzzConn": true,
		"smtpd.TestNoSuch": false, "smtpd/no-such.txt": false, "deliver.TestOnward/no-such": false, "nowhere.TestDialogues": false,
		"tpd.TestDialogues": false, "TestDialogues": false, "smtpd.Dialogues": false,
	} {
		if err := tests.find(name); (err == nil) != exists {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^([a-z0-9/]+)\.((?:Test|Fuzz|Benchmark)\w+)(?:/(.+))?$`)
	fileName = regexp.MustCompile(`^([a-z0-9/]+)/([\w.-]+\.(?:txt|eml|json))$`)
)

// tableRow gives the cells of a row of a table, nil for other lines.
func tableRow(line string) []string {
	if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| --") {
		return nil
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if strings.EqualFold(cells[len(cells)-1], "shown by") {
		return nil // the header
	}
	return cells
}

// sources has the text of all test files of each folder.
type sources map[string]string

func (s sources) find(name string) error {
	if m := testName.FindStringSubmatch(name); m != nil {
		for folder, text := range s {
			if !endsWith(folder, m[1]) || !strings.Contains(text, "func "+m[2]+"(") {
				continue
			}
			// A case is written out in the test, or is a file that the test reads.
			files, _ := filepath.Glob(filepath.Join(folder, "testdata", m[3]+".*"))
			if m[3] != "" && !strings.Contains(text, `"`+m[3]+`"`) && len(files) == 0 {
				return fmt.Errorf("%s.%s has no case %q", m[1], m[2], m[3])
			}
			return nil
		}
		return fmt.Errorf("no test `%s`", name)
	}
	if m := fileName.FindStringSubmatch(name); m != nil {
		for folder := range s {
			if !endsWith(folder, m[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(folder, "testdata", m[2])); err == nil {
				return nil
			}
		}
		return fmt.Errorf("no file `%s` in a testdata folder", name)
	}
	return fmt.Errorf("`%s` is neither PACKAGE.TestName nor PACKAGE/file", name)
}

func endsWith(folder, tail string) bool { return folder == tail || strings.HasSuffix(folder, "/"+tail) }

func testSources(t *testing.T) sources {
	t.Helper()
	s := make(sources)
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (p == "bin" || p == ".git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(p)
		folder := filepath.ToSlash(filepath.Dir(p))
		s[folder] += string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// goFiles has the text of all files of each folder that are no tests.
func goFiles(t *testing.T) sources {
	t.Helper()
	s := make(sources)
	for _, root := range []string{"node", "store", "routing", "linkstate"} {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			b, err := os.ReadFile(p)
			s[filepath.ToSlash(filepath.Dir(p))] += string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// goSources is the text of all that is compiled into the nodes.
func goSources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("node", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") || strings.HasPrefix(p, "node/dsn") {
			return err
		}
		text, err := os.ReadFile(p)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
