package directory

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/filter"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Bounds of a rule's words, in octets: its name becomes part of the names of queues.
const (
	maxRuleName   = 64
	maxRuleReason = 200
)

// ConnectorPrefix begins the name of a connector where a host may stand too.
const ConnectorPrefix = "connector:"

// HostPort gives "host:port" of what somebody wrote: the name or address of an SMTP
// host, with or without a port.
func HostPort(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "25"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || net.ParseIP(host) == nil && checkDomain(host) != nil {
		return "", fmt.Errorf("%q must be connector:NAME, or a host name or address with or without a port", text)
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

// RuleEnd is when a rule ends; zero: when it is deleted.
func RuleEnd(r *directoryv1.MailRule) (time.Time, error) {
	if r.GetExpires() == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, r.GetExpires())
	if err != nil {
		return time.Time{}, errors.New("must be a time like 2026-05-04T12:30:00Z")
	}
	return at, nil
}

func (c *checker) mailRule(r *directoryv1.MailRule) {
	if len(c.at.Name) > maxRuleName {
		c.failf("name", "has %d octets, must have at most %d", len(c.at.Name), maxRuleName)
	}
	if _, err := filter.Parse(filter.Messages, r.GetMatch()); err != nil {
		c.failf("match", "%s", err)
	}
	redirects := r.GetAction() == directoryv1.MailRuleAction_MAIL_RULE_ACTION_REDIRECT
	switch {
	case r.GetAction() == directoryv1.MailRuleAction_MAIL_RULE_ACTION_UNSPECIFIED:
		c.failf("action", "is missing; write hold, bounce or redirect")
	case redirects && r.GetTo() == "":
		c.failf("to", "is missing; write connector:NAME or host:port, or another action")
	case !redirects && r.GetTo() != "":
		c.failf("to", "counts only with action redirect; write that, or leave it out")
	case redirects:
		c.ruleWay(r.GetTo())
	}
	if len(r.GetReason()) > maxRuleReason {
		c.failf("reason", "has %d octets, must have at most %d", len(r.GetReason()), maxRuleReason)
	}
	if _, err := RuleEnd(r); err != nil {
		c.failf("expires", "is %q, %s", r.GetExpires(), err)
	}
	for i, s := range r.GetServers() {
		c.references(item("servers", i), KindServer, s, c.servers[s] != nil)
	}
}

func (c *checker) ruleWay(to string) {
	name, connector := strings.CutPrefix(to, ConnectorPrefix)
	if !connector {
		if _, err := HostPort(to); err != nil {
			c.failf("to", "is %s", err)
		}
		return
	}
	for _, kind := range [...]string{KindSMTPConnector, KindRoutingGroupConnector, KindForeignConnector} {
		for _, o := range c.byKind[kind] {
			if o.GetMetadata().GetName() == name {
				return
			}
		}
	}
	c.failf("to", "no connector is called %q; create it, or correct the name", name)
}
