package directory

import (
	"slices"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func (c *checker) restrictions(r *directoryv1.Restrictions) {
	c.notNegative("restrictions.maxMessageSize", r.GetMaxMessageSize())
	for i, p := range r.GetPriorities() {
		if !slices.Contains([]string{"low", "normal", "high"}, p) {
			c.failf(item("restrictions.priorities", i), "is %q, must be low, normal or high; correct it", p)
		}
	}
	if r.GetNoSystemMessages() && r.GetNoUserMessages() {
		c.failf("restrictions", "let no message pass; remove noSystemMessages or noUserMessages, or set disabled")
	}
	c.senders("restrictions.acceptFrom", r.GetAcceptFrom())
	c.senders("restrictions.rejectFrom", r.GetRejectFrom())
	for i, s := range r.GetRejectFrom() {
		if slices.Contains(r.GetAcceptFrom(), s) {
			c.warnf(item("restrictions.rejectFrom", i), "%s is in acceptFrom as well; rejectFrom wins, remove it from one", s)
		}
	}
}

func (c *checker) senders(field string, list []string) {
	seen := make(map[string]bool, len(list))
	for i, text := range list {
		at := item(field, i)
		e, err := ParseSender(text)
		if err != nil {
			c.failf(at, "is %q: %v; write x@example.com, @example.com, @*.example.com, <> or the name of a Recipient", text, err)
			continue
		}
		if seen[e.Key()] {
			c.failf(at, "%s is named twice; remove one", text)
		}
		seen[e.Key()] = true
		if e.Kind == SenderRecipient && c.find != nil {
			_, exists := c.find(e.Value)
			c.references(at, KindRecipient, e.Value, exists)
		}
	}
}

// shares checks how a connector spreads its mail.
func (c *checker) shares(weight int32, list []*directoryv1.BridgeheadWeight, bridgeheads ...string) {
	c.weight("weight", weight)
	seen := make(map[string]bool, len(list))
	for i, w := range list {
		at := item("bridgeheadWeights", i)
		c.weight(at+".weight", w.GetWeight())
		switch {
		case !c.references(at+".server", KindServer, w.GetServer(), c.servers[w.GetServer()] != nil):
		case !slices.Contains(bridgeheads, w.GetServer()):
			c.failf(at+".server", "Server/%s is no bridgehead of the connector; name one of its bridgeheads", w.GetServer())
		case seen[w.GetServer()]:
			c.failf(at+".server", "Server/%s is named twice; remove one", w.GetServer())
		}
		seen[w.GetServer()] = true
	}
}

func (c *checker) weight(field string, n int32) {
	if n < 0 || n > 100 {
		c.failf(field, "is %d, must be 1 to 100; leave it out for 1", n)
	}
}
