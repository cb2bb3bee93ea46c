package install

import (
	"encoding/json"
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

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// image is what a Dockerfile FROM scratch says.
type image struct {
	files   map[string]string // COPY: by path in the image, the name in the build's folder
	user    int
	command []string // ENTRYPOINT and CMD
}

// readImage knows the instructions that ours has, and refuses others.
func readImage(t *testing.T, path string) image {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := image{files: map[string]string{}}
	for line := range strings.Lines(string(b)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "", "#", "EXPOSE", "STOPSIGNAL":
		case "FROM":
			if rest != "scratch" {
				t.Errorf("FROM %s: the image is the binary alone", rest)
			}
		case "COPY":
			names := strings.Fields(rest)
			to := names[len(names)-1]
			for _, from := range names[:len(names)-1] {
				if strings.HasSuffix(to, "/") {
					i.files[to+from] = from
				} else {
					i.files[to] = from
				}
			}
		case "USER":
			user, _, _ := strings.Cut(rest, ":")
			if i.user, err = strconv.Atoi(user); err != nil || i.user == 0 {
				t.Errorf("USER %s: must be a number, as there is no /etc/passwd, and not root's", rest)
			}
		case "ENTRYPOINT", "CMD":
			var part []string
			if err := json.Unmarshal([]byte(rest), &part); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			i.command = append(i.command, part...)
		default:
			t.Fatalf("%s: this test does not know what that does", line)
		}
	}
	return i
}

// root makes the image's files below a folder.
func (i image) root(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "postroad-") // short, for the names of sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for to, from := range i.files {
		var content []byte
		if from != "ca-certificates.crt" { // make image takes this machine's
			if content, err = os.ReadFile(harness.Binary(t, from)); err != nil {
				t.Fatal(err)
			}
		}
		put(t, filepath.Join(root, to), string(content), 0o755, 0)
	}
	return root
}

func put(t *testing.T, path, content string, mode os.FileMode, user int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, user, user); err != nil {
		t.Fatal(err)
	}
}

// run is a command as a container would start it, without the container.
func (i image) run(root string, command ...string) *exec.Cmd {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Err = nil // it is looked up in the image
	cmd.Env, cmd.Dir = []string{"NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=200000"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: uint32(i.user), Gid: uint32(i.user), NoSetGroups: true},
	}
	return cmd
}

const imageOrganization = `kind: Organization
name: example
spec: {postmaster: ada@example.test}
---
kind: RoutingGroup
name: site
spec: {}
---
kind: Server
name: node
spec: {routingGroup: site, fqdn: node.example.test, smtpAddress: "127.0.0.1:%[1]d", gossipAddress: "127.0.0.1:%[2]d", adminAddress: "127.0.0.1:%[3]d"}
---
kind: VirtualServer
name: node-smtp
spec: {server: node, bindings: ["127.0.0.1:%[1]d"]}
---
kind: SMTPConnector
name: internet
spec:
  routingGroup: site
  localBridgeheads: [node]
  smartHosts: ["[127.0.0.1]:9"]
  addressSpaces: ["SMTP:*;1"]
  schedule: work
---
kind: Schedule
name: work
spec: {timeZone: Europe/Oslo, open: ["Mon-Fri 08:00-18:00"]}
`

// A node runs in the image's root as its user, with nothing but what has to be mounted,
// and tells its service manager when it takes mail, that it lives, and that it stops.
func TestImage(t *testing.T) {
	t.Parallel()
	i := readImage(t, filepath.Join(harness.Root(t), "deploy", "docker", "Dockerfile"))
	root := i.root(t)
	if out, err := i.run(root, i.command...).CombinedOutput(); err == nil || !strings.Contains(string(out), "/etc/postroad/node.yaml") {
		t.Fatalf("without a configuration: %v\n%s", err, out)
	}

	d := newDirectory(t)
	d.ca("issue", "--server", "node")
	port := harness.Ports(t, 4)
	for _, name := range []string{"ca.crt", "node.crt", "node.key"} {
		b, err := os.ReadFile(d.path("ca", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(root, "etc/postroad", name), string(b), 0o400, i.user)
	}
	put(t, filepath.Join(root, "etc/postroad/node.yaml"), fmt.Sprintf(`name: node
organization: example
data: /var/lib/postroad
adminSocket: /run/postroad/admin.sock
metrics: 127.0.0.1:%d
tls: {ca: ca.crt, cert: node.crt, key: node.key}
etcd: {endpoints: [%s]}
`, port+3, strings.Join(d.endpoints(), ", ")), 0o444, 0)
	for _, folder := range []string{"var/lib/postroad", "run/postroad"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(root, folder), i.user, i.user); err != nil {
			t.Fatal(err)
		}
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(root, "run/notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := os.Chmod(filepath.Join(root, "run/notify"), 0o777); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) {
		t.Helper()
		_ = manager.SetReadDeadline(time.Now().Add(60 * time.Second))
		b := make([]byte, 4096)
		for {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("the manager did not hear %q: %v", want, err)
			}
			if strings.Contains(string(b[:n]), want) {
				return
			}
		}
	}

	node := i.run(root, i.command...)
	var log strings.Builder
	node.Stdout, node.Stderr = &log, &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	t.Cleanup(func() {
		_ = node.Process.Kill()
		if t.Failed() {
			<-ended
			t.Logf("the node says:\n%s", log.String())
		}
	})
	hear("STATUS=waiting for the configuration")
	d.load(fmt.Sprintf(imageOrganization, port, port+1, port+2))
	hear("READY=1")
	hear("WATCHDOG=1")
	ctl := i.run(root, "/usr/bin/postroadctl", "node", "list")
	if out, err := ctl.CombinedOutput(); err != nil || !strings.Contains(string(out), "connected") {
		t.Errorf("postroadctl: %v\n%s", err, out)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	err = <-ended
	ended <- err
	if err != nil {
		t.Errorf("it stopped with %v", err)
	}
}
