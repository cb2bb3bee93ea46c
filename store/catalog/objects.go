package catalog

import directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"

// Configured lists the objects that Config is made of, all but recipients, in no
// order. They are shared and must not be changed.
func (c *Catalog) Configured() []*directoryv1.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list()
}
