package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/cmd/endpoints"
)

var update = flag.Bool("update", false, "write the golden files")

// run executes one command line.
func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

const (
	newServer = "kind: Server\nname: %s\nspec:\n  routingGroup: paris\n"
	apply     = "apply -f -"
)

// Every command against a node that answers: what it prints, where, and its
// exit code.
func TestCommands(t *testing.T) {
	clock := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `)
	date := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \((in .*?|.*? ago)\)`)
	for _, set := range []struct {
		file    string
		missing map[string]string
		lines   []string
		stdin   string // for -f -: the name of a Server
	}{
		{file: "get", lines: []string{"get", "get servers", "get -o wide", "get -o name", "get server paris-1 -o yaml", "get server/paris-1 -o name", "get -o json", "get account", "get server nowhere", "get server away", "get teapot"}},
		{file: "apply-created", stdin: "new", lines: []string{apply, apply + " --dry-run", apply + " -o json"}},
		{file: "apply-changed", stdin: "paris-1", lines: []string{apply, "diff -f -", "diff -f - -o json", "diff -f - -o name"}},
		{file: "apply-same", stdin: "same", lines: []string{apply, "diff -f -"}},
		{file: "apply-busy", stdin: "busy", lines: []string{apply, "diff -f -"}},
		{file: "apply-wrong", stdin: "wrong", lines: []string{apply, "diff -f -"}},
		{file: "apply-away", stdin: "away", lines: []string{apply}},
		{file: "apply-forbidden", stdin: "secret", lines: []string{apply}},
		{file: "apply-nothing", lines: []string{"apply", "apply -f missing.yaml", "diff -f missing.yaml"}},
		{file: "delete", lines: []string{"delete server oslo-1", "delete server oslo-1 -o json", "delete server nowhere", "delete server busy", "delete server", "delete teapot x"}},
		{file: "topology", lines: []string{"topology show", "topology show -o yaml", "topology show -o name", "topology show -o jpeg", "topology whatif", "topology whatif --down x --size 5Q"}},
		{file: "route", lines: []string{"route explain olav@example.test", "route explain olav@example.test --from nowhere", "route explain", "route log", "route log -o name"}},
		{file: "queue", lines: []string{"queue list", "queue list --empty", "queue list --one", "queue list --busy -o wide", "queue list -o name",
			"queue list --filter messages=0", "queue list --limit 2 --empty", "queue list --node nowhere",
			"queue messages", "queue messages nowhere", "queue messages q1 --queue q2", "queue messages --limit 1", "queue messages --limit 1 --page next -o wide",
			"queue messages --filter size>1G", "queue messages --filter shop.example", "queue shape", "queue shape --by nowhere", "queue retry", "queue retry q1", "queue retry poison", "queue retry nowhere", "queue retry --server oslo-1", "queue retry q1 -o json",
			"queue retry q1 q2 --dry-run", "queue retry elsewhere", "queue retry frozen", "queue retry --next-hop mx.example --reason back", "queue retry q1 --next-hop mx.example", "queue retry --filter state=retry",
			"queue messages --limit -3", "queue list --limit 0", "queue messages --one", "queue messages --node nowhere"}},
		{file: "like", lines: []string{"queue freeze --next-hop mx.example --yes", "queue freeze --next-hop mx.example", "queue freeze q1 --next-hop mx.example", "queue thaw --next-hop never --yes", "queue thaw --next-hop never",
			"queue thaw q8 --yes", "queue delete --next-hop x", "queue list"}},
		{file: "show", lines: []string{"message show retry", "message show ready", "message show frozen", "message show flying", "message show nowhere", "message show", "message show retry -o name"}},
		{file: "actions", lines: []string{"queue freeze q1 q2 --yes", "queue freeze q1 --dry-run", "queue freeze", "queue freeze q1", "queue thaw q1 --yes --all-nodes", "queue thaw never --yes",
			"queue delete q1 --reason junk --yes", "queue delete q1 --ndr --no-ndr", "queue delete q1 --ndr --yes", "queue delete --filter size>5M --no-ndr --reason junk --yes -o json",
			"queue redirect q1 --yes --reason x", "queue redirect q1 local --to mx.example --yes --reason x", "message freeze 06H0 flying --yes", "message thaw there never --yes --all-nodes",
			"message delete early --ndr --yes --reason junk", "message delete stuck --ndr --yes --reason junk", "message delete wrong --ndr --yes --reason junk", "message delete never --no-ndr --reason junk", "message delete untold --ndr --yes --reason junk",
			"message redirect 06H0 --to connector:backup --reason x --dry-run", "node outbound disable", "node outbound disable --yes --reason billing", "node outbound enable oslo-1 --yes", "node outbound enable nowhere --yes"}},
		{file: "actions-no", stdin: "no", lines: []string{"queue delete q1 --ndr --reason junk", "node outbound disable --reason billing", "message delete stuck --ndr --reason junk",
			"message delete stuck 06H0 --ndr --reason junk", "message delete stuck --ndr --reason junk --dry-run"}},
		{file: "actions-no-silence", stdin: "no", missing: map[string]string{"oslo-1": "127.0.0.1:6955: connection refused"},
			lines: []string{"queue delete q1 --ndr --reason junk", "node outbound disable --reason billing", "queue thaw never"}},
		{file: "actions-silence", missing: map[string]string{"oslo-1": "127.0.0.1:6955: connection refused"}, lines: []string{"queue freeze q1 --yes", "node outbound enable --yes"}},
		{file: "track", lines: []string{"track follow <hello@example.test>", "track follow 06H0 -o wide", "track follow nowhere", "track follow", "track find", "track find -o wide"}},
		{file: "linkstate", lines: []string{"linkstate list", "linkstate list -o wide", "linkstate list -o name", "linkstate get paris-1", "linkstate get nowhere",
			"linkstate diff paris-1 paris-2", "linkstate diff paris-1 other", "linkstate diff paris-1", "linkstate validate"}},
		{file: "drain", lines: []string{"node drain oslo-1 --reason disks", "node drain oslo-1 --wait", "node drain oslo-1 --dry-run", "node drain paris-1 --wait --timeout 20ms",
			"node undrain oslo-1", "connector drain internet --soft", "connector undrain internet", "node drain nowhere", "node drain busy", "node drain away", "node drain", "node drain a b",
			"node drain oslo-1 -o name", "node drain oslo-1 --watch"}},
		{file: "quarantine", lines: []string{"queue quarantine list", "queue quarantine release 06H0", "queue quarantine release 09H0", "queue quarantine delete --all",
			"queue quarantine delete", "queue quarantine release 06H0 -o json",
			"queue quarantine delete --all --node oslo-1", "queue quarantine list --node nowhere", "queue quarantine release 06H0 --node paris-1"}},
		{file: "dequeue", lines: []string{"connector dequeue full", "connector dequeue empty", "connector dequeue etrn", "connector dequeue silent", "connector dequeue full -o json",
			"connector dequeue nowhere", "connector dequeue away", "connector dequeue", "connector dequeue a b", "connector dequeue full --watch"}},
		{file: "resolve", lines: []string{"route resolve example.net", "route resolve user@bare.example --virtual-server partners", "route resolve gone.example", "route resolve sick.example", "route resolve example.net -o json",
			"route resolve example.net --from nowhere", "route resolve"}},
		{file: "at", lines: []string{"route explain olav@example.test --at 7", "route explain olav@example.test --at 2026-05-04T12:30:00Z", "route explain olav@example.test --at yesterday",
			"route explain olav@example.test --size 5M", "route explain olav@example.test --size huge"}},
		{file: "node", lines: []string{"node list", "node list -o name", "node list -o xml", "node ledger", "node ledger -o wide", "node ledger -o name", "node ledger --one"}},
		{file: "silence", missing: map[string]string{"oslo-1": "127.0.0.1:6955: connection refused"},
			lines: []string{"node list -o name", "queue list -o name", "track follow 06H0 -o name", "linkstate list -o name", "linkstate validate",
				"track find -o name", "queue retry", "queue retry elsewhere", "message show ready -o name"}},
		{file: "virtualserver", lines: []string{"virtualserver list", "virtualserver list submission", "virtualserver list nowhere", "virtualserver list -o json",
			"virtualserver pause submission", "virtualserver stop a b", "virtualserver start nowhere", "virtualserver stop busy", "virtualserver stop", "get virtualserver paris-1-smtp -o wide"}},
		{file: "usage", lines: []string{"frobnicate", "node frobnicate", "node list extra", "node list --frobnicate", "node list --timeout soon"}},
		{file: "ndr", lines: []string{"ndr explain 5.1.1", "dsn explain 550 5.4.6 Hop count exceeded", "ndr explain 4.2.99", "ndr explain 5.2.2 -o json", "ndr explain 5.9.1", "ndr explain what", "ndr explain",
			"ndr explain 4.4.6 -o name", "ndr list", "ndr list -o name", "ndr list more"}},
		{file: "timeout", lines: []string{"linkstate get mute --timeout 20ms"}},
	} {
		t.Run(set.file, func(t *testing.T) {
			f := &fakeNode{name: "paris-1", missing: set.missing}
			t.Setenv("POSTROAD_ENDPOINT", "unix:"+f.serve(t))
			var got strings.Builder
			for _, line := range set.lines {
				stdin := ""
				if set.stdin != "" {
					stdin = fmt.Sprintf(newServer, set.stdin)
				}
				code, stdout, stderr := run(t, stdin, strings.Fields(line)...)
				if strings.HasSuffix(line, "-o json") {
					stdout = reindent(t, stdout)
				}
				stdout = clock.ReplaceAllString(stdout, "HH:MM:SS ")
				stdout = date.ReplaceAllString(stdout, "DATE (DISTANCE)")
				fmt.Fprintf(&got, "$ postroadctl %s\n%s%s[exit code %d]\n\n", line, stdout, marked(stderr), code)
			}
			golden(t, set.file+".golden", got.String())
		})
	}
}

// reindent writes JSON one way; protojson varies its spaces on purpose.
func reindent(t *testing.T, s string) string {
	t.Helper()
	var compact, out bytes.Buffer
	if err := json.Compact(&compact, []byte(s)); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// marked sets off what went to standard error.
func marked(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("! " + line)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it and run the test with -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// The documented exit codes, 0 to 6.
func TestDocumentedExitCodes(t *testing.T) {
	t.Setenv("POSTROAD_ENDPOINT", "unix:"+(&fakeNode{name: "paris-1"}).serve(t))
	partial := "unix:" + (&fakeNode{name: "paris-1", missing: map[string]string{"oslo-1": "silent"}}).serve(t)
	for line, want := range map[string]int{
		"node list":                       exitOK,
		"linkstate diff paris-1 other":    exitFailed,
		"node list -o xml":                exitUsage,
		"linkstate get nowhere":           exitNotFound,
		"delete server busy":              exitConflict,
		"delete server away":              exitUnavailable,
		"node list --endpoint " + partial: exitPartial,
	} {
		if code, _, stderr := run(t, "", strings.Fields(line)...); code != want {
			t.Errorf("%s: exit code %d, want %d; it said %s", line, code, want, stderr)
		}
	}
}

// answered is the node that a command line reached, or the error.
func answered(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"queue", "list", "--one", "-o", "json"}, args...)...)
	if code != exitOK {
		return fmt.Sprintf("%d: %s", code, stderr)
	}
	var list struct{ Queues []struct{ Node string } }
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	return list.Queues[0].Node
}

// --endpoint, then $POSTROAD_ENDPOINT, then the endpoints.json of --data, of
// $POSTROAD_DATA, of ./data; in a file the first node that answers.
func TestEndpointOrder(t *testing.T) {
	data := func(nodes ...string) string {
		dir := t.TempDir()
		f := endpoints.File{Nodes: []endpoints.Node{{Name: "dead", AdminSocket: filepath.Join(dir, "dead.sock")}}}
		for _, n := range nodes {
			f.Nodes = append(f.Nodes, endpoints.Node{Name: n, AdminSocket: (&fakeNode{name: n}).serve(t)})
		}
		if err := f.Write(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	flagged, fromEnv := (&fakeNode{name: "flag"}).serve(t), (&fakeNode{name: "env"}).serve(t)
	t.Setenv("POSTROAD_ENDPOINT", "unix:"+fromEnv)
	t.Setenv("POSTROAD_DATA", data("data-env"))
	flagData := data("data-flag", "second")
	here := t.TempDir()
	if err := os.Rename(data("here"), filepath.Join(here, "data")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)

	expect := func(want string, args ...string) {
		t.Helper()
		if got := answered(t, args...); got != want {
			t.Errorf("%v reached %q, want %q", args, got, want)
		}
	}
	expect("flag", "--endpoint", "unix:"+flagged, "--data", flagData)
	expect("flag", "--endpoint", flagged)
	expect("env", "--data", flagData)
	t.Setenv("POSTROAD_ENDPOINT", "")
	expect("data-flag", "--data", flagData)
	expect("second", "--data", flagData, "--node", "second")
	expect("data-env")
	t.Setenv("POSTROAD_DATA", "")
	expect("here")

	for want, args := range map[string][]string{
		"no node of":   {"--data", data()},
		"--node third": {"--data", flagData, "--node", "third"},
		"--cert":       {"--endpoint", "127.0.0.1:1", "--data", here},
		"no such file": {"--endpoint", filepath.Join(here, "none.sock")},
	} {
		if got := answered(t, args...); !strings.HasPrefix(got, "5: ") || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want exit code 5 and %q", args, got, want)
		}
	}
}

// No command writes control characters to a pipe, not even --watch, which ends
// with its context.
func TestWatchIntoPipe(t *testing.T) {
	t.Setenv("POSTROAD_ENDPOINT", "unix:"+(&fakeNode{name: "paris-1"}).serve(t))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	if code := execute(ctx, []string{"node", "list", "--watch"}, nil, &out, &errs); code != exitOK {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if !strings.HasPrefix(out.String(), "NODE ") || strings.ContainsRune(out.String(), '\x1b') {
		t.Errorf("printed %q", out.String())
	}
}

// Every command has help with a first line that says what it does, and takes
// the flags by which the node is found.
func TestHelp(t *testing.T) {
	root := newRoot()
	seen := 0
	for _, noun := range root.Commands() {
		for _, cmd := range append(slices.Clone(noun.Commands()), noun) {
			seen++
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d commands seen", seen)
	}
}
