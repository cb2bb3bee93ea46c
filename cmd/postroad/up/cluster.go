package up

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/postroad/postroad/cmd/endpoints"
	"github.com/postroad/postroad/deploy/scenarios"
	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// cluster is a running organisation.
type cluster struct {
	opt      Options
	at       layout
	org      *organization
	children []*child
	hold     *os.File // locked for as long as a process of this folder lives
	wg       sync.WaitGroup

	mu    sync.Mutex
	state endpoints.File
	ready bool
}

// Run is `postroad up`: it returns when ctx ends and everything has stopped, or
// with --once when all mail has arrived or was waited for in vain.
func Run(ctx context.Context, opt Options) error {
	data, err := filepath.Abs(opt.Data)
	if err != nil {
		return err
	}
	opt.Data = data
	c := &cluster{opt: opt, at: layout(data)}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("--data: %w; choose a folder that you may write to", err)
	}
	unlock, err := lock(c.at.lock())
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	defer unlock()
	if c.hold, err = outlast(ctx, c.at.processes(), c.say); err != nil {
		return err
	}
	defer c.hold.Close()
	if err := endpoints.Remove(data); err != nil {
		return err
	}

	stopping, stop := context.WithCancel(context.Background())
	defer func() {
		if len(c.children) > 0 {
			c.say("stopping: draining all nodes")
			defer c.say("stopped")
		}
		stop()
		c.wg.Wait()
		_ = endpoints.Remove(data)
	}()
	if err := c.begin(ctx, stopping); err != nil {
		return err
	}
	if opt.Once {
		return c.once(ctx)
	}
	c.show()
	if !opt.Quiet {
		c.firstMessage(ctx)
	}
	<-ctx.Done()
	return nil
}

// say tells the user what happens; JSON alone goes to stdout with --once.
func (c *cluster) say(format string, args ...any) {
	w := c.opt.Stdout
	if c.opt.Once {
		w = c.opt.Stderr
	}
	fmt.Fprintf(w, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// begin starts etcd, brings the organisation into it, starts the nodes and
// waits until they are ready. stopping ends the processes.
func (c *cluster) begin(ctx, stopping context.Context) error {
	objs, fresh, err := c.wanted()
	if err != nil {
		return err
	}
	if c.org, err = place(objs, c.opt.BasePort); err != nil {
		return err
	}
	if err := c.org.checkPorts(); err != nil {
		return err
	}
	if err := prepare(c.at, c.org, c.opt.Pprof, time.Now()); err != nil {
		return err
	}
	if err := c.startEtcd(stopping); err != nil {
		return err
	}
	if err := c.apply(ctx, fresh); err != nil {
		return err
	}
	return c.startNodes(ctx, stopping)
}

// wanted is the organisation to run: --file, or what the last start wrote down,
// or the demo.
func (c *cluster) wanted() (objs []*directoryv1.Object, fresh bool, err error) {
	saved, err := os.ReadFile(c.at.organization())
	switch {
	case c.opt.File != "":
		objs, err = readOrganizationFile(c.opt.File)
		return objs, true, err
	case err == nil:
		objs, err = readOrganization(c.at.organization(), saved)
		return objs, false, err
	case errors.Is(err, os.ErrNotExist):
		objs, err = readOrganization("three-sites.yaml", scenarios.ThreeSites)
		return objs, true, err
	}
	return nil, false, err
}

func (c *cluster) startEtcd(stopping context.Context) error {
	id := c.at.identity(etcdServer)
	return c.spawn(stopping, &child{
		name: "etcd",
		args: []string{"etcd", "--data", c.at.etcd(), "--client", c.org.etcd[0], "--peer", c.org.etcd[1],
			"--ca", id.CA, "--cert", id.Cert, "--key", id.Key},
		log: c.at.log("etcd"),
		changed: func(pid int) {
			c.update(func(f *endpoints.File) { f.Etcd = endpoints.Etcd{PID: pid, Address: c.org.etcd[0]} })
		},
	})
}

// apply brings the organisation into the directory. On a later start without
// --file the directory is the truth, because postroadctl may have changed it;
// only addresses moved by --base-port are written.
func (c *cluster) apply(ctx context.Context, fresh bool) error {
	id, err := trust.Load(c.at.identity(operator))
	if err != nil {
		return err
	}
	d, err := directory.Open(ctx, directory.Config{
		Endpoints:    []string{"https://" + c.org.etcd[0]},
		TLS:          id.ClientTLS(etcdServer),
		Organization: c.org.name,
	})
	if err != nil {
		return err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if !fresh {
		if err := c.adopt(ctx, d); err != nil {
			return err
		}
	}
	for {
		_, _, _, err = d.Apply(ctx, c.org.objects, false)
		if !errors.Is(err, directory.ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("bring the organisation into etcd: %w (etcd's log: %s)", err, c.at.log("etcd"))
	}
	if c.org.objects, err = listAll(ctx, d); err != nil {
		return err
	}
	return c.save()
}

// save writes the organisation down as it runs here: the file to edit and apply.
func (c *cluster) save() error {
	tmp := c.at.organization() + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f, "# The organisation as `postroad up` last started it, with its addresses on this machine.")
	if err := directory.EncodeYAML(f, c.org.objects); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(tmp, c.at.organization())
}

func (c *cluster) startNodes(ctx, stopping context.Context) error {
	c.mu.Lock()
	admin := c.at.identity(operator)
	c.state.Organization, c.state.PID = c.org.name, os.Getpid()
	c.state.Admin = endpoints.Files{CA: admin.CA, Cert: admin.Cert, Key: admin.Key}
	for _, s := range c.org.servers {
		c.state.Nodes = append(c.state.Nodes, endpoints.Node{
			Name: s.name, Group: s.group, SMTP: s.smtp, Gossip: s.gossip, Admin: s.admin,
			AdminSocket: c.at.socket(s.name), Metrics: s.metrics, Maildir: c.at.maildir(s.name),
			Config: c.at.config(s.name), Log: c.at.log(s.name),
		})
	}
	c.mu.Unlock()
	for i, s := range c.org.servers {
		if err := c.spawn(stopping, &child{
			name:    s.name,
			args:    []string{"node", "--config", c.at.config(s.name)},
			log:     c.at.log(s.name),
			changed: func(pid int) { c.update(func(f *endpoints.File) { f.Nodes[i].PID = pid }) },
		}); err != nil {
			return err
		}
	}
	deadline, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for i, s := range c.org.servers {
		if err := waitReady(deadline, c.children[i+1], s.metrics); err != nil {
			if ctx.Err() != nil {
				return nil // Ctrl-C while starting is no failure
			}
			return fmt.Errorf("%s is not ready: %w; the end of its log %s:\n%s", s.name, err, c.at.log(s.name), lastLines(c.at.log(s.name), 2000))
		}
	}
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	c.update(func(*endpoints.File) {})
	return nil
}

func (c *cluster) spawn(stopping context.Context, ch *child) error {
	ch.restart, ch.delay, ch.say, ch.hold = !c.opt.NoRestart, c.opt.RestartDelay, c.say, c.hold
	if err := ch.start(c.opt.Executable); err != nil {
		return err
	}
	c.children = append(c.children, ch)
	c.wg.Go(func() { ch.run(stopping, c.opt.Executable) })
	return nil
}

// update changes the endpoints and, once all nodes were ready, the file.
func (c *cluster) update(change func(*endpoints.File)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
	if c.ready {
		if err := c.state.Write(c.opt.Data); err != nil {
			fmt.Fprintf(c.opt.Stderr, "%s: %v\n", endpoints.FileName, err)
		}
	}
}

// waitReady polls a node's readiness until it is ready, its process ends or ctx does.
func waitReady(ctx context.Context, ch *child, metrics string) error {
	var last error
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metrics+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		switch {
		case err != nil:
			last = err
		case resp.StatusCode == http.StatusOK:
			return resp.Body.Close()
		default:
			last = fmt.Errorf("/readyz says %s", resp.Status)
			_ = resp.Body.Close()
		}
		if ch.pid() == 0 {
			return errors.New("its process ended")
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(50 * time.Millisecond):
		}
	}
}
