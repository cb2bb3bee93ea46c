package up

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/postroad/postroad/node"
	"github.com/postroad/postroad/node/trust"
)

// operator is the administrator identity that `up` itself uses and leaves for
// grpcurl and postroadctl over TCP. etcdServer is the identity of etcd.
const (
	operator   = "operator"
	etcdServer = "etcd"
)

// prepare makes what a host needs before its node can start: identities and
// configuration files. Certificates that are there and valid are kept.
func prepare(l layout, o *organization, pprof bool, now time.Time) error {
	ca, err := trust.OpenAuthority(l.authority(), o.name, now)
	if err != nil {
		return err
	}
	hosts := []string{"127.0.0.1", "localhost"}
	if err := identify(ca, l, trust.Name{Organization: o.name, Role: trust.RoleAdmin, Name: operator}, nil, now); err != nil {
		return err
	}
	if err := identify(ca, l, trust.Name{Organization: o.name, Role: trust.RoleServer, Name: etcdServer}, hosts, now); err != nil {
		return err
	}
	for _, s := range o.servers {
		if err := identify(ca, l, trust.Name{Organization: o.name, Role: trust.RoleServer, Name: s.name}, hosts, now); err != nil {
			return err
		}
		if err := configure(l, o, s, pprof); err != nil {
			return fmt.Errorf("configuration of %s: %w", s.name, err)
		}
	}
	return nil
}

func identify(ca *trust.Authority, l layout, n trust.Name, hosts []string, now time.Time) error {
	f := l.identity(n.Name)
	if id, err := trust.Load(f); err == nil && id.Name == n {
		return nil
	}
	if err := ca.Issue(n, hosts, f.Cert, f.Key, now); err != nil {
		return fmt.Errorf("certificate of %s: %w", n, err)
	}
	return nil
}

// configure writes the node.yaml of one server. All paths in it are absolute,
// so that `postroad node --config` works from anywhere.
func configure(l layout, o *organization, s server, pprof bool) error {
	c := node.Config{
		Name:         s.name,
		Organization: o.name,
		Data:         l.node(s.name),
		TLS:          l.identity(s.name),
		Etcd:         node.EtcdConfig{Endpoints: []string{"https://" + o.etcd[0]}},
		Gossip:       s.gossip,
		Admin:        s.admin,
		AdminSocket:  l.socket(s.name),
		Metrics:      s.metrics,
		Pprof:        pprof,
	}
	for _, dir := range []string{c.Data, filepath.Dir(c.AdminSocket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	b, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(l.config(s.name), append([]byte("# Written by `postroad up` at each start.\n"), b...), 0o600)
}
