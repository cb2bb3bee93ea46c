package vserver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Resolver asks DNS on behalf of virtual servers. An error that says of itself
// "Temporary() bool" false means that there is nothing; every other that nobody
// knows now.
type Resolver interface {
	// Names are the host names of an address (PTR).
	Names(ctx context.Context, ip netip.Addr) ([]string, error)
	// Addrs are the addresses of a host.
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	// Listed are the IPv4 addresses that a list of addresses in DNS has for a
	// name (RFC 5782 section 2.1); none and no error where there are none.
	Listed(ctx context.Context, name string) ([]netip.Addr, error)
	// NullMX says whether a domain has declared that it takes no mail (RFC 7505).
	NullMX(ctx context.Context, domain string) (bool, error)
}

// Bounds of the search for a client's name.
const (
	hostTimeout = 5 * time.Second
	// maxHostNames of one address are tried; more is not meant seriously.
	maxHostNames = 4
)

// host finds out the name of a client's address, once and when first asked. It
// belongs to the goroutine of the connection.
type host struct {
	ctx context.Context
	dns Resolver
	ip  netip.Addr

	asked bool
	found string
	err   error
}

// name is the host name that the address leads to and that leads back to the
// address: anybody can write anybody's name into his own reverse zone. It is ""
// if there is none; then err tells whether that is for sure (nil).
func (h *host) name() (string, error) {
	if h.asked || h.dns == nil || !h.ip.IsValid() {
		return h.found, h.err
	}
	h.asked = true
	ctx, cancel := context.WithTimeout(h.ctx, hostTimeout)
	defer cancel()
	names, err := h.dns.Names(ctx, h.ip)
	if err != nil {
		h.err = unlessCertain(err)
		return "", h.err
	}
	for _, n := range names[:min(len(names), maxHostNames)] {
		addrs, err := h.dns.Addrs(ctx, n)
		if slices.Contains(addrs, h.ip) {
			h.found, h.err = mail.DomainKey(n), nil
			return h.found, nil
		}
		if err != nil && h.err == nil {
			h.err = unlessCertain(err)
		}
	}
	return "", h.err
}

// unlessCertain is nil for the certainty that there is nothing.
func unlessCertain(err error) error {
	var t interface{ Temporary() bool }
	if errors.As(err, &t) && !t.Temporary() {
		return nil
	}
	return err
}
