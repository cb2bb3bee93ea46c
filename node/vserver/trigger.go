package vserver

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
	"github.com/postroad/postroad/store/directory"
)

// Triggers gives out mail that waits to be asked for.
type Triggers interface {
	// Start has this node send what waits for those connectors and domains, the way
	// it goes anyway. It returns how many messages that are.
	Start(connectors []mail.GUID, domain func(string) bool) int
	// Hand gives the same mail over a connection on which this node is to be the
	// client; ok is false if there is none.
	Hand(connectors []mail.GUID, domain func(string) bool) (serve func(context.Context, net.Conn), ok bool)
	// Stopped says whether such mail waits that is not given out, as an administrator
	// stopped it.
	Stopped(connectors []mail.GUID, domain func(string) bool) bool
}

// stopped refuses for now what would otherwise be answered as if there were no mail.
func stopped(code int, text string) error {
	s := mail.StatusNotAccepting
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{int(s.Class), int(s.Subject), int(s.Detail)}, Message: text + " is stopped for the time being"}
}

// triggerable are the remote-triggered connectors whose mail the client may ask
// for: by its account, or, for ETRN alone, by where it is.
func (s *session) triggerable(etrn bool) []directory.SMTPConnector {
	if s.v.deps.Triggers == nil {
		return nil
	}
	var list []directory.SMTPConnector
	for _, c := range s.v.deps.Directory.Config().SMTPConnectors() {
		if !c.Spec.GetRemoteTriggered() || c.Spec.GetDisabled() {
			continue
		}
		byAccount := s.client.account != "" && slices.ContainsFunc(c.Spec.GetTriggerAccounts(), func(a string) bool { return strings.EqualFold(a, s.client.account) })
		byPlace := etrn && s.client.ip.IsValid() && slices.ContainsFunc(parseNetworks(c.Spec.GetEtrnNetworks()), func(p netip.Prefix) bool { return p.Contains(s.client.ip.Unmap()) })
		if byAccount || byPlace {
			list = append(list, c)
		}
	}
	return list
}

// serves says whether one of the connectors has the domain in its address spaces.
func serves(list []directory.SMTPConnector, domain string) bool {
	for _, c := range list {
		for _, a := range c.Spec.GetAddressSpaces() {
			if t := a.GetType(); t != "" && !strings.EqualFold(t, directory.TypeSMTP) {
				continue
			}
			switch pattern := spacePattern(a.GetPattern()); {
			case pattern == "*", pattern == domain, strings.HasPrefix(pattern, "*.") && strings.HasSuffix(domain, pattern[1:]):
				return true
			}
		}
	}
	return false
}

func guids(list []directory.SMTPConnector) []mail.GUID {
	out := make([]mail.GUID, len(list))
	for i, c := range list {
		out[i] = mail.GUID(c.GUID)
	}
	return out
}

// StartsQueues implements smtpd.QueueStarter.
func (s *session) StartsQueues() bool { return len(s.triggerable(true)) > 0 }

// StartQueue implements smtpd.QueueStarter (RFC 1985 section 5.3): a domain,
// "@domain" with all below it, "#" with a connector's name.
func (s *session) StartQueue(node string) (int, error) {
	list := s.triggerable(true)
	domain := func(string) bool { return true }
	if name, ok := strings.CutPrefix(node, "#"); ok {
		list = slices.DeleteFunc(list, func(c directory.SMTPConnector) bool { return !strings.EqualFold(c.Name, name) })
	} else {
		apex, below := strings.CutPrefix(node, "@")
		key := directory.DomainKey(apex)
		if !serves(list, key) {
			list = nil
		}
		domain = func(d string) bool { return d == key || below && strings.HasSuffix(d, "."+key) }
	}
	if len(list) == 0 {
		return 0, &smtp.SMTPError{Code: 459, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Node " + node + " not allowed: no connector that you may start serves it"}
	}
	n := s.v.deps.Triggers.Start(guids(list), domain)
	if n == 0 && s.v.deps.Triggers.Stopped(guids(list), domain) {
		s.log.Info("smtp_asked_for_stopped", zap.String("node", node), zap.String("account", s.client.account))
		return 0, stopped(458, "Unable to queue messages for node "+node+": its mail")
	}
	s.log.Info("smtp_queue_started", zap.String("node", node), zap.String("account", s.client.account), zap.Int("messages", n))
	return n, nil
}

// OffersATRN implements smtpd.Turner.
func (s *session) OffersATRN() bool {
	return s.v.deps.Triggers != nil && slices.ContainsFunc(s.v.deps.Directory.Config().SMTPConnectors(), func(c directory.SMTPConnector) bool {
		return c.Spec.GetRemoteTriggered() && !c.Spec.GetDisabled() && len(c.Spec.GetTriggerAccounts()) > 0
	})
}

// AllowsATRN implements smtpd.Turner (RFC 2645 section 4: after AUTH).
func (s *session) AllowsATRN() bool { return len(s.triggerable(false)) > 0 }

// AllowsTURN implements smtpd.Turner.
func (s *session) AllowsTURN() bool { return len(s.triggerable(false)) > 0 }

// Turn implements smtpd.Turner. Without domains it is all that the account may
// have (RFC 2645 section 5.2.1).
func (s *session) Turn(domains []string) (smtpd.Reversal, error) {
	list := s.triggerable(false)
	keys := make(map[string]bool, len(domains))
	for _, d := range domains {
		key := directory.DomainKey(d)
		if !serves(list, key) {
			return nil, &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "ATRN request refused: mail for " + d + " is not yours to ask for"}
		}
		keys[key] = true
	}
	domain := func(d string) bool { return len(keys) == 0 || keys[d] }
	hand, ok := s.v.deps.Triggers.Hand(guids(list), domain)
	if !ok && s.v.deps.Triggers.Stopped(guids(list), domain) {
		s.log.Info("smtp_asked_for_stopped", zap.Strings("domains", domains), zap.String("account", s.client.account))
		return nil, stopped(451, "Unable to process the request now: your mail")
	}
	if !ok {
		return nil, &smtp.SMTPError{Code: 453, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "You have no mail"}
	}
	s.log.Info("smtp_turned", zap.Strings("domains", domains), zap.String("account", s.client.account))
	return hand, nil
}
