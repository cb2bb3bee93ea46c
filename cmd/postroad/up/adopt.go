package up

import (
	"context"
	"fmt"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// adopt replaces the saved organisation by what the directory holds, keeping the
// loopback addresses that this start chose. Servers that were added to the
// directory since the file was written get their own addresses on the next start.
func (c *cluster) adopt(ctx context.Context, d *directory.Directory) error {
	placed := make(map[string]*directoryv1.Object)
	for _, o := range c.org.objects {
		placed[o.GetMetadata().GetKind()+"/"+o.GetMetadata().GetName()] = o
	}
	all, err := listAll(ctx, d)
	if err != nil {
		return fmt.Errorf("read the directory: %w (etcd's log: %s)", err, c.at.log("etcd"))
	}
	if len(all) == 0 {
		return nil // etcd lost its data, or the first start was cut short
	}
	for _, o := range all {
		p := placed[o.GetMetadata().GetKind()+"/"+o.GetMetadata().GetName()]
		switch {
		case p == nil:
		case o.GetServer() != nil:
			from, to := p.GetServer(), o.GetServer()
			to.SmtpAddress, to.GossipAddress, to.AdminAddress = from.GetSmtpAddress(), from.GetGossipAddress(), from.GetAdminAddress()
		case o.GetVirtualServer() != nil:
			o.GetVirtualServer().Bindings = p.GetVirtualServer().GetBindings()
		}
	}
	c.org.objects = all
	return nil
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
