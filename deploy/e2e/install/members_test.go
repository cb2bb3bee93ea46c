package install

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// directory is an etcd of three members with certificates of a cluster's authority.
type directory struct {
	t       *testing.T
	dir     string
	clients map[string]string // addresses by member
	peers   map[string]string
	running map[string]*exec.Cmd
}

var memberNames = []string{"a", "b", "c"}

func newDirectory(t *testing.T) *directory {
	d := &directory{t: t, dir: t.TempDir(), clients: map[string]string{}, peers: map[string]string{}, running: map[string]*exec.Cmd{}}
	d.ca("init")
	d.ca("issue", "--admin", "ada")
	port := harness.Ports(t, 8)
	for i, name := range memberNames {
		d.ca("issue", "--server", "etcd-"+name, "--host", "127.0.0.1")
		d.clients[name] = fmt.Sprintf("127.0.0.1:%d", port+2*i)
		d.peers[name] = fmt.Sprintf("127.0.0.1:%d", port+2*i+1)
	}
	for _, name := range memberNames {
		d.start(name)
	}
	return d
}

func (d *directory) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

func (d *directory) ca(args ...string) {
	d.t.Helper()
	harness.Command(d.t, "", harness.Binary(d.t, "postroad"), append([]string{"ca", "--organization", "example", "--dir", d.path("ca")}, args...)...).OK(d.t)
}

func (d *directory) identity(name string) []string {
	return []string{"--ca", d.path("ca", "ca.crt"), "--cert", d.path("ca", name+".crt"), "--key", d.path("ca", name+".key")}
}

// start starts a member; it is ready when another one is.
func (d *directory) start(name string) {
	d.t.Helper()
	var list []string
	for _, n := range memberNames {
		list = append(list, n+"="+d.peers[n])
	}
	args := append([]string{"etcd", "--data", d.path(name), "--name", name, "--client", d.clients[name], "--peer", d.peers[name],
		"--cluster", strings.Join(list, ",")}, d.identity("etcd-"+name)...)
	cmd := exec.Command(harness.Binary(d.t, "postroad"), args...)
	log, err := os.OpenFile(d.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	if d.running[name] == nil {
		d.t.Cleanup(func() { d.kill(name) })
	}
	d.running[name] = cmd
}

func (d *directory) kill(name string) {
	_ = d.running[name].Process.Kill()
	_ = d.running[name].Wait()
	if d.t.Failed() {
		log, _ := os.ReadFile(d.path(name + ".log"))
		d.t.Logf("etcd %s says:\n%s", name, log)
	}
}

func (d *directory) endpoints() (all []string) {
	for _, name := range memberNames {
		all = append(all, "https://"+d.clients[name])
	}
	return all
}

// load writes objects; as soon as etcd has a leader.
func (d *directory) load(yaml string) {
	d.t.Helper()
	if err := os.WriteFile(d.path("org.yaml"), []byte(yaml), 0o600); err != nil {
		d.t.Fatal(err)
	}
	args := append([]string{"import", "--file", d.path("org.yaml"), "--organization", "example", "--etcd", strings.Join(d.endpoints(), ",")}, d.identity("ada")...)
	harness.Eventually(d.t, 40*time.Second, func() error {
		if r := harness.Command(d.t, "", harness.Binary(d.t, "postroad"), args...); r.Code != 0 {
			return fmt.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		return nil
	})
}

func (d *directory) awaitMember(name string) {
	d.t.Helper()
	harness.Eventually(d.t, 40*time.Second, func() error {
		c, err := net.Dial("tcp", d.clients[name])
		if err == nil {
			c.Close()
		}
		return err
	})
}

// Each of three members may be killed, the leader among them; what was written is kept
// by the others, and it comes back by itself.
func TestMembers(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	const organization = "kind: Organization\nname: example\nspec: {postmaster: %q}\n"
	d.load(fmt.Sprintf(organization, "all@example.test"))
	for _, name := range memberNames {
		d.awaitMember(name)
		d.kill(name)
		d.load(fmt.Sprintf(organization, "without-"+name+"@example.test"))
		d.start(name)
	}
	d.awaitMember("c")
	log, err := os.ReadFile(d.path("b.log"))
	if err != nil || strings.Count(string(log), "etcd_listening") != 2 {
		t.Errorf("b did not come back: %v\n%s", err, log)
	}
	for _, bad := range []struct {
		args []string
		want string
	}{
		{[]string{"--name", "d", "--peer", d.peers["a"]}, `the members are a, this one's name is "d"`},
		{[]string{"--name", "a", "--peer", d.peers["b"]}, "both must be the same address"},
	} {
		args := append([]string{"etcd", "--data", d.path("bad"), "--cluster", "a=" + d.peers["a"]}, bad.args...)
		r := harness.Command(t, "", harness.Binary(t, "postroad"), append(args, d.identity("etcd-a")...)...)
		if r.Code != 1 || !strings.Contains(r.Stderr, bad.want) {
			t.Errorf("%v: exit code %d, %s", bad.args, r.Code, r.Stderr)
		}
	}
}
