package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is a private file tree in which a program of a Debian package runs that
// is unpacked but not installed, because it conflicts with one that is. The
// package's own paths (/etc, /var, /usr/libexec) and users exist only there; the
// libraries are the system's. Mounts and processes live in namespaces of
// their own and end with the test.
type root struct {
	t   testing.TB
	dir string
}

// firstUser is where the users of the tree begin: in the range that Debian
// keeps free.
const firstUser = 62000

// enter builds the mounts and becomes the program. The package is copied to a
// file system of its own, so that its setuid bits count.
const enter = `set -e
mount --make-rprivate /
package=$1 dir=$2; shift 2
cd "$dir"
for d in /bin /sbin /lib /lib32 /lib64 /libx32 /usr/*; do
	[ -e "$d" ] && [ "$d" != /usr/libexec ] || continue
	if [ -L "$d" ]; then cp -P "$d" ".$d"; else mkdir -p ".$d"; mount --rbind "$d" ".$d"; fi
done
mkdir -p package dev proc usr/libexec
mount -t tmpfs -o mode=755 package package
cp -a "$package/." package
[ ! -d package/usr/libexec ] || cp -a package/usr/libexec/. usr/libexec
mount --rbind /dev dev
mount -t proc proc proc
exec chroot . "$@"
`

// newRoot makes the tree with the given users, each with a group of that name.
func newRoot(t testing.TB, users ...string) *root {
	t.Helper()
	dir, err := os.MkdirTemp("", "postroad-root-") // reachable by those users, see StartPostfix
	if err != nil {
		t.Fatal(err)
	}
	r := &root{t: t, dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	passwd, group := "root:x:0:0::/:/bin/sh\n", "root:x:0:\n"
	for i, u := range users {
		passwd += fmt.Sprintf("%s:x:%d:%d::/var/empty:/bin/sh\n", u, firstUser+i, firstUser+i)
		group += fmt.Sprintf("%s:x:%d:\n", u, firstUser+i)
	}
	r.file("etc/passwd", passwd)
	r.file("etc/group", group)
	r.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
	r.file("etc/hosts", "127.0.0.1 localhost\n")
	r.file("etc/resolv.conf", "nameserver 127.0.0.1\n")
	r.folder("var/empty", "root", 0o755)
	r.folder("var/mail", "root", 0o755)
	r.folder("run", "root", 0o755)
	r.folder("tmp", "root", 0o1777)
	if err := os.Symlink("../run", r.path("var/run")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

func (r *root) file(name, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// folder makes a folder that belongs to a user of the tree.
func (r *root) folder(name, user string, mode os.FileMode) {
	r.t.Helper()
	if err := os.MkdirAll(r.path(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chown(r.path(name), r.id(user), r.id(user)); err != nil {
		r.t.Fatal(err)
	}
	if mode&0o1000 != 0 {
		mode = mode&^0o1000 | os.ModeSticky
	}
	if err := os.Chmod(r.path(name), mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) id(user string) int {
	b, err := os.ReadFile(r.path("etc/passwd"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if f := strings.Split(l, ":"); f[0] == user {
			id, _ := strconv.Atoi(f[2])
			return id
		}
	}
	r.t.Fatalf("no user %q in the private root", user)
	return 0
}

// certificate writes a self-signed certificate for a name, and its key that
// only owner reads.
func (r *root) certificate(name, owner, cert, key string) {
	r.t.Helper()
	r.file(cert, "")
	Certificate(r.t, name, r.path(cert), r.path(key))
	if err := os.Chown(r.path(key), r.id(owner), r.id(owner)); err != nil {
		r.t.Fatal(err)
	}
}

// start runs a program of the package that peers.sh unpacked, in the foreground,
// and waits until it listens on a loopback port.
func (r *root) start(pkg string, port int, program string, args ...string) {
	r.t.Helper()
	tree := filepath.Join(Root(r.t), "bin", "peers", pkg)
	Program(r.t, filepath.Join(tree, program))
	log, err := os.Create(r.path("out"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", enter, "enter", tree, r.dir, "/package" + program}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it is the first of its namespace: all others end with it
		<-ended
		if r.t.Failed() {
			r.t.Logf("%s printed:\n%s", pkg, r.output())
		}
	})
	Eventually(r.t, 20*time.Second, func() error {
		select {
		case <-ended:
			r.t.Fatalf("%s ended:\n%s", pkg, r.output())
		default:
		}
		c, err := net.Dial("tcp", loopback(port))
		if err == nil {
			c.Close()
		}
		return err
	})
}

func (r *root) output() string {
	b, _ := os.ReadFile(r.path("out"))
	return string(b)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// maildir lists the messages of a maildir.
func maildir(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}
