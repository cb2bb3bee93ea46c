package trust

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Role is what a certificate lets its holder be.
type Role string

// Roles.
const (
	RoleServer Role = "server" // a node; may gossip, relay and use the admin API
	RoleAdmin  Role = "admin"  // a person or script; may use the admin API
)

// Name is the identity in a certificate.
type Name struct {
	Organization string
	Role         Role
	Name         string
}

// String is the URI form.
func (n Name) String() string { return n.url().String() }

func (n Name) url() *url.URL {
	return &url.URL{Scheme: "postroad", Host: n.Organization, Path: "/" + string(n.Role) + "/" + n.Name}
}

// NameOf reads the identity of a certificate whose chain has been verified.
func NameOf(c *x509.Certificate) (Name, error) {
	for _, u := range c.URIs {
		if u.Scheme != "postroad" {
			continue
		}
		role, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if !ok || name == "" || u.Host == "" || Role(role) != RoleServer && Role(role) != RoleAdmin {
			return Name{}, fmt.Errorf("certificate %q: URI %q must be postroad://ORGANIZATION/server/NAME or .../admin/NAME", c.Subject.CommonName, u)
		}
		return Name{u.Host, Role(role), name}, nil
	}
	return Name{}, fmt.Errorf("certificate %q names no postroad:// identity; issue it with `postroad ca issue`", c.Subject.CommonName)
}

// NameInFile reads the identity of a certificate in a PEM file, whoever signed it.
func NameInFile(path string) (Name, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Name{}, err
	}
	c, err := parseCert(b)
	if err != nil {
		return Name{}, fmt.Errorf("%s: %w", path, err)
	}
	return NameOf(c)
}
