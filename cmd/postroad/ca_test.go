package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runCA runs `postroad ca` in a folder.
func runCA(dir string, args ...string) error {
	cmd := caCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(new(strings.Builder))
	cmd.SetArgs(append(args, "--organization", "example", "--dir", dir))
	return cmd.Execute()
}

// A name that cannot be one, or whose files are somebody else's, is refused, and
// nothing is overwritten: not the authority's key before all.
func TestIssueRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	for _, args := range [][]string{{"init"}, {"issue", "--server", "paris-1"}, {"issue", "--admin", "ada"}} {
		if err := runCA(dir, args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	before := contents(t, dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--server", "ca"}, "the authority's own"},
		{[]string{"--admin", "CA"}, "the authority's own"},
		{[]string{"--server", "a b"}, `"a b": must start with a letter or digit`},
		{[]string{"--server", "../x"}, "must start with a letter or digit"},
		{[]string{"--server", "a/b"}, "must start with a letter or digit"},
		{[]string{"--admin", "paris-1"}, "paris-1.crt is for postroad://example/server/paris-1; choose another name"},
		{[]string{"--server", "ada"}, "ada.crt is for postroad://example/admin/ada; choose another name"},
	} {
		if err := runCA(dir, append([]string{"issue"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	for path, text := range contents(t, dir) {
		if before[path] != text {
			t.Errorf("%s was written", path)
		}
	}
	if err := runCA(dir, "issue", "--server", "paris-1"); err != nil { // a renewal
		t.Error(err)
	}
}

// contents reads all files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}
