// Package hosts runs an organisation as it is in life: every node, and etcd, on a
// host of its own, in sites that a wide-area network joins. Links are cut,
// healed, cut in one direction only; hosts die; and afterwards every message that
// was acknowledged is accounted for.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
	"github.com/postroad/postroad/deploy/e2e/wan"
)

// world is a running organisation.
type world struct {
	t    *testing.T
	dir  string
	net  *wan.Network
	etcd *process
	node map[string]*process
	// troubles is when something was done to the network or to a process.
	troubles []time.Time
	letters  int
}

// process runs on a host and may be started again.
type process struct {
	w    *world
	host *wan.Host
	args []string
	log  string

	cmd  *exec.Cmd
	done chan struct{}
}

const organization = "atlas"

// start makes the hosts of the map, does to their network what is asked, starts
// etcd and every node, and waits until all of them are ready.
func start(t *testing.T, m atlas, before func(*wan.Network)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), net: wan.New(t), node: make(map[string]*process)}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, p := range w.processes() {
			t.Logf("the log of %s ends:\n%s", p.host.Name, tail(p.log))
		}
	})
	etcd := w.net.Host("etcd", "etcd")
	var hosts []*wan.Host
	for _, s := range m.servers {
		site, _, _ := strings.Cut(s, "-")
		hosts = append(hosts, w.net.Host(s, site))
	}
	before(w.net)
	w.net.Start()

	ca := func(args ...string) {
		harness.Command(t, "", harness.Binary(t, "postroad"), append([]string{"ca", "--organization", organization, "--dir", w.path("ca")}, args...)...).OK(t)
	}
	ca("init")
	ca("issue", "--admin", "ada")
	ca("issue", "--server", "etcd", "--host", etcd.Addr.String())
	address := net.JoinHostPort(etcd.Addr.String(), "2379")
	w.etcd = w.process(etcd, append([]string{"etcd", "--data", w.path("etcd"), "--client", address}, w.identity("etcd")...)...)
	w.etcd.start()

	w.write("atlas.yaml", m.yaml(hosts))
	load := w.process(etcd, append([]string{"import", "--file", w.path("atlas.yaml"), "--organization", organization, "--etcd", "https://" + address}, w.identity("ada")...)...)
	load.start()
	if err := load.wait(30 * time.Second); err != nil {
		t.Fatalf("import: %v\n%s", err, tail(load.log))
	}

	for _, h := range hosts {
		ca("issue", "--server", h.Name)
		w.write(h.Name+".yaml", fmt.Sprintf(`name: %s
organization: %s
data: data/%[1]s
tls: {ca: ca/ca.crt, cert: ca/%[1]s.crt, key: ca/%[1]s.key}
etcd: {endpoints: ["https://%[3]s"]}
metrics: 127.0.0.1:9691
minFree: 1048576
`, h.Name, organization, address))
		w.node[h.Name] = w.process(h, "node", "--config", w.path(h.Name+".yaml"))
		w.node[h.Name].start()
	}
	for _, h := range hosts {
		w.node[h.Name].ready()
	}
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// identity gives the flags that name the certificate of a server or administrator.
func (w *world) identity(name string) []string {
	return []string{"--ca", w.path("ca", "ca.crt"), "--cert", w.path("ca", name+".crt"), "--key", w.path("ca", name+".key")}
}

func (w *world) processes() []*process {
	all := []*process{w.etcd}
	for _, p := range w.node {
		all = append(all, p)
	}
	return all
}

func (w *world) process(h *wan.Host, args ...string) *process {
	return &process{w: w, host: h, args: args, log: w.path(h.Name + "-" + args[0] + ".log")}
}

// start runs the process; it ends with the test.
func (p *process) start() {
	p.w.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer log.Close()
	cmd, done := exec.Command(harness.Binary(p.w.t, "postroad"), p.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	if err := p.host.Start(cmd); err != nil {
		p.w.t.Fatal(err)
	}
	p.cmd, p.done = cmd, done
	go func() { _ = cmd.Wait(); close(done) }()
	p.w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
}

// wait until the process ended by itself, without an error.
func (p *process) wait(within time.Duration) error {
	select {
	case <-p.done:
	case <-time.After(within):
		return fmt.Errorf("runs after %v", within)
	}
	if !p.cmd.ProcessState.Success() {
		return errors.New(p.cmd.ProcessState.String())
	}
	return nil
}

// kill is the death of the process; the host goes on and refuses connections.
func (p *process) kill() {
	p.w.t.Helper()
	p.w.trouble("%s is killed", p.host.Name)
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.w.t.Fatal(err)
	}
	<-p.done
}

// ready waits until the node takes mail.
func (p *process) ready() {
	p.w.t.Helper()
	harness.Eventually(p.w.t, 60*time.Second, func() error {
		select {
		case <-p.done:
			p.w.t.Fatalf("%s ended:\n%s", p.host.Name, tail(p.log))
		default:
		}
		_, err := p.get("/readyz")
		return err
	})
}

// get asks the node's metrics listener, which is on its loopback.
func (p *process) get(path string) (string, error) {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.host.Dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	r, err := c.Get("http://127.0.0.1:9691" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, b)
	}
	return string(b), err
}

// trouble notes that something is done, now, and says what.
func (w *world) trouble(format string, args ...any) {
	w.t.Helper()
	w.troubles = append(w.troubles, time.Now())
	w.t.Logf(format, args...)
}

func (w *world) cut(a, b string) {
	w.t.Helper()
	w.trouble("%s and %s: cut", a, b)
	w.net.Between(a, b, wan.Path{Cut: true})
}

func (w *world) heal(a, b string) {
	w.t.Helper()
	w.trouble("%s and %s: healed", a, b)
	w.net.Between(a, b, wan.Path{})
}

// ctl asks one node, as its administrator on the host does.
func (w *world) ctl(node string, args ...string) harness.Result {
	w.t.Helper()
	return harness.Command(w.t, "", harness.Binary(w.t, "postroadctl"), append([]string{"--endpoint", w.path("data", node, "admin.sock")}, args...)...)
}

// apply writes objects through one node.
func (w *world) apply(node, yaml string) harness.Result {
	w.t.Helper()
	return harness.Command(w.t, yaml, harness.Binary(w.t, "postroadctl"), "--endpoint", w.path("data", node, "admin.sock"), "apply", "-f", "-")
}

// agree waits until all nodes live, have the same link state table and the same
// directory, and every link is up.
func (w *world) agree(within time.Duration) {
	w.t.Helper()
	harness.Eventually(w.t, within, func() error {
		for node := range w.node {
			if r := w.ctl(node, "linkstate", "validate"); r.Code != 0 {
				return fmt.Errorf("as %s sees it:\n%s%s", node, r.Stdout, r.Stderr)
			}
			return nil // it has asked all others
		}
		return errors.New("no nodes")
	})
}

// tail is the end of a log without the lines of message tracking.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(b), "\n"), func(l string) bool { return strings.Contains(l, `"event":"message"`) })
	return strings.Join(lines[max(0, len(lines)-12):], "")
}
