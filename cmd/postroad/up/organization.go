package up

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// portsPerNode: SMTP, gossip, admin, metrics. Further virtual servers get the
// ports after those of all nodes.
const portsPerNode = 4

// organization is the YAML with every address on this machine.
type organization struct {
	name    string
	objects []*directoryv1.Object
	servers []server
	etcd    [2]string // client, peer
	moved   bool      // the addresses are not those that the objects had
}

type server struct {
	name, group                  string
	smtp, gossip, admin, metrics string
}

// readOrganization reads objects from YAML text.
func readOrganization(name string, text []byte) ([]*directoryv1.Object, error) {
	objs, err := directory.DecodeYAML(bytes.NewReader(text), name)
	if err != nil {
		return nil, err
	}
	if problems := directory.Validate(objs); len(problems) > 0 {
		var b strings.Builder
		for _, p := range problems {
			fmt.Fprintf(&b, "\n  %s", p)
		}
		return nil, fmt.Errorf("%s does not describe a working organisation:%s", name, b.String())
	}
	return objs, nil
}

// place gives every server loopback addresses. basePort 0 keeps those of the
// file where all are loopback.
func place(objs []*directoryv1.Object, basePort int) (*organization, error) {
	o := &organization{objects: objs}
	for _, obj := range objs {
		if obj.GetOrganization() != nil {
			o.name = obj.GetMetadata().GetName()
		}
	}
	var servers []*directoryv1.Object
	keep := basePort == 0
	for _, obj := range objs {
		if s := obj.GetServer(); s != nil {
			servers = append(servers, obj)
			keep = keep && onLoopback(s.GetSmtpAddress(), s.GetGossipAddress(), s.GetAdminAddress())
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("the organisation has no Server object: nothing to start")
	}
	o.moved = !keep
	slices.SortFunc(servers, func(a, b *directoryv1.Object) int {
		return strings.Compare(a.GetMetadata().GetName(), b.GetMetadata().GetName())
	})
	if basePort == 0 {
		basePort = defaultBasePort
	}
	extra := basePort + 2 + portsPerNode*len(servers)
	// At most one further port for each object is needed.
	if last := extra + len(objs); basePort < 1 || last > 65535 {
		return nil, fmt.Errorf("--base-port %d: %d servers need the ports up to %d, which must lie between 1 and 65535", basePort, len(servers), last)
	}
	o.etcd = [2]string{loopback(basePort), loopback(basePort + 1)}
	for i, obj := range servers {
		s, first := obj.GetServer(), basePort+2+portsPerNode*i
		name := obj.GetMetadata().GetName()
		if !keep {
			s.SmtpAddress, s.GossipAddress, s.AdminAddress = loopback(first), loopback(first+1), loopback(first+2)
			extra = o.rebind(name, s.SmtpAddress, extra)
		}
		o.servers = append(o.servers, server{name, s.GetRoutingGroup(), s.GetSmtpAddress(), s.GetGossipAddress(), s.GetAdminAddress(), loopback(first + 3)})
	}
	return o, nil
}

// rebind moves a server's virtual servers to loopback: the first one to the
// address at which other nodes reach the server, each further one to a port from
// next on. It returns the next free port.
func (o *organization) rebind(server, smtp string, next int) int {
	first := true
	for _, obj := range o.objects {
		vs := obj.GetVirtualServer()
		if vs == nil || vs.GetServer() != server {
			continue
		}
		if first {
			vs.Bindings, first = []string{smtp}, false
			continue
		}
		vs.Bindings = []string{loopback(next)}
		next++
	}
	return next
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func onLoopback(addresses ...string) bool {
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		if err != nil || port == "" || port == "0" {
			return false
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return false
		}
	}
	return true
}

// checkPorts finds an address that another program holds before anything is
// started.
func (o *organization) checkPorts() error {
	for i, what := range []string{"etcd", "etcd's peer port"} {
		if err := tryPort(what, o.etcd[i]); err != nil {
			return err
		}
	}
	return o.checkNodePorts()
}

func (o *organization) checkNodePorts() error {
	for _, s := range o.servers {
		for _, a := range []struct{ what, address string }{{"SMTP", s.smtp}, {"gossip", s.gossip}, {"the admin API", s.admin}, {"metrics", s.metrics}} {
			if err := tryPort(a.what+" of "+s.name, a.address); err != nil {
				return err
			}
		}
	}
	return nil
}

func tryPort(what, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s cannot listen on %s: %w; stop the other program or choose other ports with --base-port", what, address, err)
	}
	return l.Close()
}

// readOrganizationFile reads --file.
func readOrganizationFile(path string) ([]*directoryv1.Object, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	return readOrganization(path, b)
}
