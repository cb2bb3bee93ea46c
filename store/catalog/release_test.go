package catalog

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The catalog of a node of release 0.1.0 that was killed: this version starts
// from it without etcd.
func TestCatalogOfRelease010(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", filepath.Join("testdata", "release-0.1.0.tar.gz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := open(t, filepath.Join(dir, "catalog"), Options{})
	defer c.Close()
	conf := c.Config()
	if s, ok := conf.Server("paris-1"); !ok || s.Spec.GetRoutingGroup() != "paris" || !conf.HasOrganization() {
		t.Errorf("server paris-1: %v, found %v", s, ok)
	}
	r, ok, err := c.Lookup("alice.martin@example.test")
	if err != nil || !ok || r.GetRecipient().GetMailbox().GetHomeServer() != "paris-1" {
		t.Errorf("alice: %v, found %v, %v", r, ok, err)
	}
	if c.Revision() == 0 || c.Recipients() == 0 {
		t.Errorf("revision %d, %d recipients: everything would be read anew", c.Revision(), c.Recipients())
	}
}
