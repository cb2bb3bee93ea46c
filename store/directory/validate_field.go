package directory

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func item(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

func (c *checker) notNegative(field string, n int64) {
	if n < 0 {
		c.failf(field, "is %d, must not be negative; leave it out for the default", n)
	}
}

func (c *checker) period(field string, d *durationpb.Duration) {
	if d != nil && (d.CheckValid() != nil || d.AsDuration() <= 0) {
		c.failf(field, "must be longer than 0; leave it out for the default")
	}
}

func (c *checker) cost(field string, n int32) {
	if n < 0 || n > 100 {
		c.failf(field, "is %d, must be 1 to 100; leave it out for 1", n)
	}
}

// references reports a missing or dangling reference and says whether it is fine.
func (c *checker) references(field, kind, name string, exists bool) bool {
	switch {
	case name == "":
		c.failf(field, "is missing; write the name of a %s", kind)
	case !exists:
		c.failf(field, "%s/%s does not exist; create it or correct the name", kind, name)
	}
	return name != "" && exists
}

func (c *checker) group(field, name string) bool {
	return c.references(field, KindRoutingGroup, name, c.groups[name])
}

// bridgeheads checks servers that must be members of a group.
func (c *checker) bridgeheads(field string, names []string, group string) {
	for i, name := range names {
		at := item(field, i)
		if !c.references(at, KindServer, name, c.servers[name] != nil) {
			continue
		}
		if g := c.servers[name].GetRoutingGroup(); g != group && c.groups[group] {
			c.failf(at, "Server/%s is in routing group %s, must be in %s; name a server of that group", name, g, group)
		}
		if slices.Index(names, name) != i {
			c.failf(at, "Server/%s is named twice; remove one", name)
		}
	}
}

func (c *checker) hostname(field, name string) {
	if _, err := netip.ParseAddr(name); err == nil {
		c.failf(field, "is an IP address, must be a domain name; write the host's name")
	} else if err := checkDomain(strings.TrimSuffix(name, ".")); err != nil {
		c.failf(field, "is %q: %v; correct it", name, err)
	}
}

func (c *checker) address(field, a string) {
	typ, rest := AddressType(a)
	if typ != TypeSMTP {
		if strings.TrimSpace(rest) == "" || !validType(typ) {
			c.failf(field, "is %q, must be TYPE:ADDRESS; correct it", a)
		}
		return
	}
	if _, _, err := splitAddress(rest); err != nil {
		c.failf(field, "is %q: %v; correct it", a, err)
	}
}

// validType obeys RFC 3461 section 4.2: an address type is an atom; ours have
// letters, digits and hyphens only, because they are written before a colon.
func validType(t string) bool {
	return t != "" && !strings.ContainsFunc(t, func(r rune) bool {
		return r >= 0x80 || (r != '-' && !isAlnum(byte(r)))
	})
}

func (c *checker) hostPort(field, s string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || !validPort(port) || !validHost(host) {
		c.failf(field, `is %q, must be HOST:PORT; write it like mail.example.com:25 or [2001:db8::1]:25`, s)
	}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func validHost(h string) bool {
	_, err := netip.ParseAddr(h)
	return err == nil || checkDomain(strings.TrimSuffix(h, ".")) == nil
}

func validBinding(b string) bool {
	host, port, err := net.SplitHostPort(b)
	if err != nil || !validPort(port) {
		return false
	}
	_, err = netip.ParseAddr(host)
	return host == "" || err == nil
}

// splitBinding gives comparable parts; every way to write "all addresses" is "".
func splitBinding(b string) (host, port string) {
	host, port, err := net.SplitHostPort(b)
	if err != nil {
		return b, ""
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.IsUnspecified() {
			return "", port
		}
		host = a.Unmap().String()
	}
	return host, port
}

func (c *checker) lmtp(field, a string) {
	if p, ok := strings.CutPrefix(a, "unix:"); ok {
		if !path.IsAbs(p) {
			c.failf(field, "is %q, must have an absolute path; write it like unix:/run/dovecot/lmtp", a)
		}
		return
	}
	c.hostPort(field, a)
}

func (c *checker) detection(d *directoryv1.Detection) {
	c.notNegative("detection.glitchRetries", int64(d.GetGlitchRetries()))
	c.period("detection.glitchInterval", d.GetGlitchInterval())
	c.period("detection.probeInterval", d.GetProbeInterval())
	c.period("detection.idleProbeInterval", d.GetIdleProbeInterval())
	m := d.GetDamping()
	c.notNegative("detection.damping.penalty", int64(m.GetPenalty()))
	c.notNegative("detection.damping.suppress", int64(m.GetSuppress()))
	c.notNegative("detection.damping.reuse", int64(m.GetReuse()))
	c.period("detection.damping.halfLife", m.GetHalfLife())
	c.period("detection.damping.maximum", m.GetMaximum())
	if t := Detection(d).Damping; t.Reuse >= t.Suppress {
		c.failf("detection.damping.reuse", "is %d, must be below suppress (%d); lower it or raise suppress", t.Reuse, t.Suppress)
	}
}
