package up

import (
	"context"
	"fmt"
	"slices"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// adopt replaces the saved organisation by what the directory holds.
func (c *cluster) adopt(ctx context.Context, d *directory.Directory) error {
	all, err := listAll(ctx, d)
	if err != nil {
		return fmt.Errorf("read the directory: %w (etcd's log: %s)", err, c.at.log("etcd"))
	}
	if len(all) == 0 {
		return nil // etcd lost its data, or the first start was cut short
	}
	c.org.replace(all)
	now, err := c.org.recounted(c.opt.BasePort)
	if err != nil || now == c.org {
		return err
	}
	c.org = now
	if err := now.checkNodePorts(); err != nil {
		return err
	}
	return prepare(c.at, now, c.opt.Pprof, time.Now())
}

// recounted has the servers that there are now: some may have come into the
// directory, or left it, since the last start.
func (o *organization) recounted(basePort int) (*organization, error) {
	now, err := place(o.objects, basePort)
	if err != nil {
		return nil, err
	}
	if slices.EqualFunc(now.servers, o.servers, func(a, b server) bool { return a.name == b.name }) {
		return o, nil
	}
	now.moved = now.moved || o.moved
	return now, nil
}

// replace takes over objects, keeping the addresses that this start chose for
// the servers, and for their virtual servers if it moved them.
func (o *organization) replace(all []*directoryv1.Object) {
	placed := make(map[string]*directoryv1.Object)
	for _, p := range o.objects {
		placed[p.GetMetadata().GetKind()+"/"+p.GetMetadata().GetName()] = p
	}
	for _, obj := range all {
		p := placed[obj.GetMetadata().GetKind()+"/"+obj.GetMetadata().GetName()]
		switch {
		case p == nil:
		case obj.GetServer() != nil:
			from, to := p.GetServer(), obj.GetServer()
			to.SmtpAddress, to.GossipAddress, to.AdminAddress = from.GetSmtpAddress(), from.GetGossipAddress(), from.GetAdminAddress()
		case obj.GetVirtualServer() != nil && o.moved:
			obj.GetVirtualServer().Bindings = p.GetVirtualServer().GetBindings()
		}
	}
	o.objects = all
}

// listAll reads every object, as the directory keeps it: with GUIDs, and with
// keys in place of passwords.
func listAll(ctx context.Context, d *directory.Directory) ([]*directoryv1.Object, error) {
	var all []*directoryv1.Object
	for _, kind := range directory.Kinds() {
		objs, _, err := d.List(ctx, kind)
		if err != nil {
			return nil, err
		}
		all = append(all, objs...)
	}
	return all, nil
}
