package deliver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// ledgerDisk notes each step, and fails at one.
type ledgerDisk struct {
	realDisk
	root  string
	steps []string
	fail  int // the number of the step that fails, from 1; 0: none
	// atFailure sees what a crash at the step would leave.
	atFailure func()
}

// Names are long and differ from one message to another; the folder counts.
var (
	maildirName  = regexp.MustCompile(`(tmp|new)/.+`)
	dropFileName = regexp.MustCompile(`[^/]+\.(eml|json)`)
)

var errDisk = errors.New("input/output error")

func (d *ledgerDisk) step(what string, paths ...string) error {
	for _, p := range paths {
		short, err := filepath.Rel(d.root, p)
		if err != nil {
			return err
		}
		short = dropFileName.ReplaceAllString(maildirName.ReplaceAllString(short, "$1/*"), "*.$1")
		what += " " + short
	}
	d.steps = append(d.steps, what)
	if len(d.steps) == d.fail {
		if d.atFailure != nil {
			d.atFailure()
		}
		return errDisk
	}
	return nil
}

func (d *ledgerDisk) Sync(f *os.File) error {
	if err := d.step("sync", f.Name()); err != nil {
		return err
	}
	return d.realDisk.Sync(f)
}

func (d *ledgerDisk) Rename(from, to string) error {
	if err := d.step("rename", from, to); err != nil {
		return err
	}
	return d.realDisk.Rename(from, to)
}

func (d *ledgerDisk) SyncFolder(path string) error {
	if err := d.step("sync folder", path); err != nil {
		return err
	}
	return d.realDisk.SyncFolder(path)
}

// stores are the deliveries to files, each with the order of its steps.
var stores = map[string]struct {
	hop   func(root string) mail.Hop
	steps []string
	// visible are the files that a reader would take.
	visible func(t *testing.T, root string) []string
}{
	"maildir": {
		func(string) mail.Hop { return local() },
		[]string{"sync folder ..", "sync folder .", "sync folder box", "sync folder box/u@x.example", "sync box/u@x.example/tmp/*",
			"rename box/u@x.example/tmp/* box/u@x.example/new/*", "sync folder box/u@x.example/new"},
		func(t *testing.T, root string) []string { return files(t, filepath.Join(root, "box/u@x.example/new")) },
	},
	"drop": {
		func(root string) mail.Hop {
			return mail.Hop{Kind: mail.HopDrop, ConnectorName: "fax", Options: mail.HopOptions{Directory: filepath.Join(root, "drop")}}
		},
		[]string{"sync folder ..", "sync folder .", "sync drop/*.eml.tmp", "rename drop/*.eml.tmp drop/*.eml", "sync folder drop",
			"sync drop/*.json.tmp", "rename drop/*.json.tmp drop/*.json", "sync folder drop"},
		func(t *testing.T, root string) []string {
			return slices.DeleteFunc(files(t, filepath.Join(root, "drop")), func(n string) bool { return !strings.HasSuffix(n, ".json") })
		},
	},
}

// What is reported as delivered is on the disk: content first, then its name, then the
// folder, and the envelope of a pair last. A disk that fails at any step leaves no half
// message in the reader's sight, the mail waits, and the next attempt makes one of it.
func TestStepsToTheDisk(t *testing.T) {
	for name, c := range stores {
		t.Run(name, func(t *testing.T) {
			for fail := range len(c.steps) + 1 {
				root := t.TempDir()
				a := New(Options{Hostname: "me.example", MaildirRoot: filepath.Join(root, "box")})
				d := &ledgerDisk{root: root, fail: fail}
				a.disk = d
				hop, m := c.hop(root), message(body, "u@x.example")
				whole := func() {
					t.Helper()
					for _, n := range c.visible(t, root) {
						if !wholeMessage(t, root, n) {
							t.Errorf("step %d fails: a reader finds half of %s", fail, n)
						}
					}
				}
				d.atFailure = whole
				feed := newFeed(t, m)
				if err := a.Serve(t.Context(), hop, feed); err != nil {
					t.Fatal(err)
				}
				got := feed.check()["u@x.example"]
				switch {
				case fail == 0 && !strings.HasPrefix(got, "delivered"), fail > 0 && got != "deferred 4.3.0":
					t.Errorf("step %d fails: %s", fail, got)
				case fail == 0 && !slices.Equal(d.steps, c.steps):
					t.Errorf("steps\n%s\nwant\n%s", strings.Join(d.steps, "\n"), strings.Join(c.steps, "\n"))
				}
				whole()
				feed = newFeed(t, m)
				if err := a.Serve(t.Context(), hop, feed); err != nil {
					t.Fatal(err)
				}
				if got := feed.check()["u@x.example"]; !strings.HasPrefix(got, "delivered") {
					t.Errorf("after step %d had failed: %s", fail, got)
				}
				if v := c.visible(t, root); len(v) != 1 {
					t.Errorf("after step %d had failed: a reader finds %q", fail, v)
				}
				whole()
				if left := leftovers(t, root); len(left) != 0 {
					t.Errorf("after step %d had failed: %q is left", fail, left)
				}
			}
		})
	}
}

// In a container each start of the node has the number of the one before, so what a crash left
// may have the name that this attempt takes. It holds up no mail.
func TestNameOfALostAttempt(t *testing.T) {
	for name, c := range stores {
		root := t.TempDir()
		a := New(Options{Hostname: "me.example", MaildirRoot: filepath.Join(root, "box")})
		d := &ledgerDisk{root: root, fail: slices.IndexFunc(c.steps, func(s string) bool { return strings.HasPrefix(s, "rename") }) + 1}
		a.disk = d
		hop, m := c.hop(root), message(body, "u@x.example")
		var left []byte // by the crash
		path := ""
		d.atFailure = func() {
			for _, dir := range []string{"box/u@x.example/tmp", "drop"} {
				for _, n := range files(t, filepath.Join(root, dir)) {
					path = filepath.Join(root, dir, n)
					left, _ = os.ReadFile(path)
				}
			}
		}
		if err := a.Serve(t.Context(), hop, newFeed(t, m)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, left, 0o600); err != nil || len(left) == 0 {
			t.Fatalf("%s: %q: %v", name, path, err)
		}
		feed := newFeed(t, m)
		if err := New(Options{Hostname: "me.example", MaildirRoot: filepath.Join(root, "box")}).Serve(t.Context(), hop, feed); err != nil {
			t.Fatal(err)
		}
		if got := feed.check()["u@x.example"]; !strings.HasPrefix(got, "delivered") {
			t.Errorf("%s: %s: %s", name, got, feed.got["u@x.example"].Text)
		}
		if l := leftovers(t, root); len(l) != 0 || len(c.visible(t, root)) != 1 {
			t.Errorf("%s: %q is left, a reader finds %q", name, l, c.visible(t, root))
		}
	}
}

// aboveMount is a disk on which a folder's names cannot be made durable: that of another
// file system.
type aboveMount struct {
	realDisk
	folder string
	err    error
}

func (d aboveMount) SyncFolder(path string) error {
	if path == d.folder {
		return &os.PathError{Op: "sync", Path: path, Err: d.err}
	}
	return d.realDisk.SyncFolder(path)
}

// A mount point was made by nobody who delivers mail: what is above may be of a file system that
// syncs no folders, is read-only, or is closed to this process. A name that this process
// made has to be durable, whatever the disk says.
func TestFolderBelowAMountPoint(t *testing.T) {
	for _, c := range []struct {
		err    error
		spared bool
	}{
		{syscall.EINVAL, true}, {syscall.ENOTSUP, true}, {syscall.EROFS, true}, {syscall.EACCES, true}, {syscall.EIO, false}, {syscall.ENOSPC, false},
	} {
		root := t.TempDir()
		mount := filepath.Join(root, "mount")
		if err := os.Mkdir(mount, 0o700); err != nil {
			t.Fatal(err)
		}
		above := aboveMount{folder: root, err: c.err}
		if err := makeFolder(above, mount); (err == nil) != c.spared {
			t.Errorf("the mount point, %v above: %v", c.err, err)
		}
		if err := makeFolder(above, filepath.Join(mount, "box", "u")); (err == nil) != c.spared {
			t.Errorf("below the mount point, %v above: %v", c.err, err)
		}
		if err := makeFolder(aboveMount{folder: mount, err: c.err}, filepath.Join(mount, "new")); err == nil {
			t.Errorf("a folder was made, and %v is no error", c.err)
		}
	}
}

// wholeMessage says whether a file that a reader takes has all of the message.
func wholeMessage(t *testing.T, root, name string) bool {
	t.Helper()
	want, path := "end\n", filepath.Join(root, "box/u@x.example/new", name)
	if base, ok := strings.CutSuffix(name, ".json"); ok {
		want, path = body, filepath.Join(root, "drop", base+".eml")
	}
	b, err := os.ReadFile(path)
	return err == nil && strings.HasSuffix(string(b), want)
}

// leftovers are files that nobody will ever look at.
func leftovers(t *testing.T, root string) (list []string) {
	t.Helper()
	list = files(t, filepath.Join(root, "box/u@x.example/tmp"))
	for _, n := range files(t, filepath.Join(root, "drop")) {
		if strings.HasSuffix(n, ".tmp") {
			list = append(list, n)
		}
	}
	return list
}

// Names are unique where they have to be: among hosts that share a file system, among
// messages, among attempts; and nothing in them means something to a maildir's reader.
func TestMaildirNames(t *testing.T) {
	one, two := message(body, "u@x.example").Envelope, message(body+"x", "u@x.example").Envelope
	seen := map[string]string{}
	for _, host := range []string{"me.example", "me/x:2.example"} {
		a := New(Options{Hostname: host})
		for i, env := range []*mail.Envelope{one, two} {
			n := a.fileName(env)
			if strings.ContainsAny(n, "/:") || strings.HasPrefix(n, ".") {
				t.Errorf("%q", n)
			}
			if was := seen[n]; was != "" {
				t.Errorf("%q is the name of two: %s", n, was)
			}
			seen[n] = fmt.Sprint(host, i)
			if n != a.fileName(env) {
				t.Error("a second attempt has another name")
			}
		}
	}
}
