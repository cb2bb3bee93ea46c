package directory

import (
	"errors"
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Each case adds documents to the demo organisation (replacing objects of the
// same kind and name) and names the problem that must come of it, and no other.
func TestValidate(t *testing.T) {
	for name, c := range map[string]struct{ add, want string }{
		"second organisation": {"kind: Organization\nname: other", "Organization/: there must be exactly one, there are 2"},
		"bad name":            {"kind: RoutingGroup\nname: a b", "RoutingGroup/a b: name: must start with a letter or digit"},
		"name in other case":  {"kind: RoutingGroup\nname: Paris", "RoutingGroup/Paris: name: differs only in case from paris"},
		"bad GUID":            {"kind: RoutingGroup\nname: x\nguid: abc", "RoutingGroup/x: guid: must look like"},
		"timings":             {"kind: Organization\nname: example\nspec: {linkState: {keepalive: 1h}}", "Organization/example: linkState.suspectAfter: must be longer than keepalive (1h)"},
		"negative time":       {"kind: Organization\nname: example\nspec: {linkState: {antiEntropy: -1s}}", "linkState.antiEntropy: must be longer than 0"},
		"negative size":       {"kind: Organization\nname: example\nspec: {maxMessageSize: -5}", "maxMessageSize: is -5, must not be negative"},

		"server in no group":      {"kind: Server\nname: x\nspec: {fqdn: x.example.test}", "Server/x: routingGroup: is missing"},
		"server in missing group": {"kind: Server\nname: x\nspec: {fqdn: x.example.test, routingGroup: rome}", "Server/x: routingGroup: RoutingGroup/rome does not exist; create it or correct the name"},
		"server without fqdn":     {"kind: Server\nname: x\nspec: {routingGroup: paris}", "Server/x: fqdn: is missing"},
		"fqdn is an address":      {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: 192.0.2.1}", "Server/x: fqdn: is an IP address"},
		"fqdn twice":              {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: Oslo-1.Example.TEST, smtpAddress: 'h:1', gossipAddress: 'h:2', adminAddress: 'h:3'}", "fqdn: is that of Server/"},
		"fqdn is a policy domain": {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: example.test}", "RecipientPolicy/default: domains[0].domain: example.test is the FQDN of Server/x, which makes mail loop (5.4.8)"},
		"address twice":           {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, gossipAddress: 127.0.0.1:6901}", "Server/x: gossipAddress: is 127.0.0.1:6901, which is gossipAddress of Server/paris-1"},
		"address without port":    {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, smtpAddress: 127.0.0.1}", `Server/x: smtpAddress: is "127.0.0.1", must be HOST:PORT`},
		"LMTP path":               {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, localDelivery: {lmtp: {address: 'unix:run/x'}}}", "localDelivery.lmtp.address: is \"unix:run/x\", must have an absolute path"},

		"listener of missing server": {"kind: VirtualServer\nname: x\nspec: {server: rome-1}", "VirtualServer/x: server: Server/rome-1 does not exist"},
		"binding taken":              {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:2501']}", "bindings: 127.0.0.1:2501 is taken by VirtualServer/"},
		"binding taken by all":       {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['0.0.0.0:2501']}", "is taken by VirtualServer/"},
		"binding with a name":        {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['localhost:25']}", `VirtualServer/x: bindings[0]: is "localhost:25", must be ADDRESS:PORT`},
		"open relay":                 {"kind: VirtualServer\nname: x\nspec: {server: paris-1, relay: {allExcept: true}}", "VirtualServer/x: relay.allExcept: makes an open relay"},
		"open relay by network":      {"kind: VirtualServer\nname: x\nspec: {server: paris-1, relay: {networks: ['::/0']}}", "VirtualServer/x: relay.networks: contains every address"},
		"network":                    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, relay: {networks: [lan]}}", "relay.networks[0]: is \"lan\", must be an IP address or network"},
		"hop count":                  {"kind: VirtualServer\nname: x\nspec: {server: paris-1, hopCount: 9}", "hopCount: is 9, must be 10 to 256"},
		"half a certificate":         {"kind: VirtualServer\nname: x\nspec: {server: paris-1, tls: {certificateFile: /x}}", "VirtualServer/x: tls: certificateFile and keyFile belong together"},
		"expiration":                 {"kind: VirtualServer\nname: x\nspec: {server: paris-1, retry: {expiration: 1m}}", "retry.expiration: is shorter than the first retry (10m)"},
		"greeting":                   {"kind: VirtualServer\nname: x\nspec: {server: paris-1, greeting: \"a\\nb\"}", "greeting: must be at most 200 printable"},
		"bare smart host":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, smartHost: 192.0.2.1}", "VirtualServer/x: smartHost: is the bare IP address 192.0.2.1; put it into brackets: [192.0.2.1]"},
		"bare smart host, port":      {"kind: VirtualServer\nname: x\nspec: {server: paris-1, smartHost: '192.0.2.1:26'}", "put it into brackets: [192.0.2.1]"},
		"smart host is itself":       {"kind: VirtualServer\nname: x\nspec: {server: paris-1, smartHost: Paris-1.example.test}", "VirtualServer/x: smartHost: is Paris-1.example.test, which is this server itself"},
		"smart host is itself, port": {"kind: VirtualServer\nname: x\nspec: {server: paris-1, smartHost: '[127.0.0.1]:2501'}", "which is this server itself"},

		"connector to itself":        {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: paris}", "RoutingGroupConnector/x: targetGroup: is the source group"},
		"connector to missing group": {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: rome}", "RoutingGroupConnector/x: targetGroup: RoutingGroup/rome does not exist"},
		"cost":                       {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, cost: 101}", "RoutingGroupConnector/x: cost: is 101, must be 1 to 100"},
		"local bridgehead":           {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, localBridgeheads: [oslo-1]}", "RoutingGroupConnector/x: localBridgeheads[0]: Server/oslo-1 is in routing group oslo, must be in paris"},
		"remote bridgehead":          {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, remoteBridgeheads: [paris-2]}", "remoteBridgeheads[0]: Server/paris-2 is in routing group paris, must be in oslo"},
		"bridgehead twice":           {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, localBridgeheads: [paris-1, paris-1]}", "localBridgeheads[1]: Server/paris-1 is named twice"},
		"priority":                   {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {priorities: [urgent]}}", "restrictions.priorities[0]: is \"urgent\", must be low, normal or high"},
		"damping":                    {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, detection: {damping: {suppress: 900}}}", "detection.damping.reuse: is 1000, must be below suppress (900)"},
		"damping backwards":          {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, detection: {damping: {halfLife: -1s}}}", "detection.damping.halfLife: must be longer than 0"},
		"negative penalty":           {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, detection: {damping: {penalty: -1}}}", "detection.damping.penalty: is -1, must not be negative"},
		"nothing passes":             {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {noSystemMessages: true, noUserMessages: true}}", "restrictions: let no message pass"},

		"nothing served":         {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris}", "SMTPConnector/x: addressSpaces: are missing"},
		"open relay connector":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], allowRelay: true}", `SMTPConnector/x: allowRelay: with the address space "*" makes an open relay`},
		"smart host, bare IPv6":  {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: ['2001:db8::1']}", "smartHosts[0]: is the bare IP address 2001:db8::1; put it into brackets"},
		"smart host, bridgehead": {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [paris-2.example.test]}", "which is the bridgehead Server/paris-2 itself"},
		"smart host, bad port":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: ['h:0']}", `smartHosts[0]: has the port "0"`},
		"address space cost":     {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['SMTP:*;1000']}", "addressSpaces[0]: is 1000, must be 1 to 100"},
		"address space pattern":  {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['SMTP:a*b']}", `addressSpaces[0]: has the pattern "a*b"`},
		"address space twice":    {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*.net', 'smtp:*.NET;5']}", "addressSpaces[1]: SMTP:*.net is written twice"},
		"connected to itself":    {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, connectedGroups: [{group: paris}]}", "connectedGroups[0].group: is the connector's own group"},
		"credentials in clear":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], tls: none, credentials: {user: u, passwordFile: /p}}", "credentials: would cross the network in the clear"},
		"half credentials":       {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], credentials: {user: u}}", "credentials: must have user and an absolute passwordFile"},
		"no gateway":             {"kind: ForeignConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['X400:c=us']}", "ForeignConnector/x: has no gateway"},
		"relative drop":          {"kind: ForeignConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['X400:c=us'], dropDirectory: drop}", `dropDirectory: is "drop", must be an absolute path`},

		"policy without domain":  {"kind: RecipientPolicy\nname: x", "RecipientPolicy/x: domains: are missing"},
		"policies disagree":      {"kind: RecipientPolicy\nname: x\nspec: {domains: [{domain: Example.test, shared: true}]}", "is shared by one policy and not by"},
		"filter":                 {"kind: MessageFilter\nname: x\nspec: {senders: [spam]}", "MessageFilter/x: senders[0]: is \"spam\": must be LOCAL-PART@DOMAIN"},
		"account without secret": {"kind: Account\nname: x", "Account/x: password: is missing"},
		"password with control":  {"kind: Account\nname: x\nspec: {password: \"a\\u0007b\"}", "Account/x: password: cannot be used"},
		"weak keys":              {"kind: Account\nname: x\nspec: {keys: {salt: AAAA, iterations: 1}}", "Account/x: keys: must have salt"},
		"schedule":               {"kind: Schedule\nname: x\nspec: {open: ['Mon-Fri 22:05-06:00']}", "Schedule/x: open[0]: is"},
		"time zone":              {"kind: Schedule\nname: x\nspec: {timeZone: Mars/Base}", "Schedule/x: timeZone:"},

		"no address":            {"kind: Recipient\nname: x\nspec: {contact: {targetAddress: a@b.example}}", "Recipient/x: addresses: are missing"},
		"bad address":           {"kind: Recipient\nname: x\nspec: {addresses: [x@], contact: {targetAddress: a@b.example}}", "Recipient/x: addresses[0]: is \"x@\": the domain is missing"},
		"address of another":    {"kind: Recipient\nname: x\nspec: {addresses: [ALICE@example.test], contact: {targetAddress: a@b.example}}", "addresses[0]: ALICE@example.test belongs to Recipient/alice"},
		"address written twice": {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test, X@example.test], contact: {targetAddress: a@b.example}}", "Recipient/x: addresses[1]: X@example.test is written twice"},
		"no type":               {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test]}", "Recipient/x: is neither mailbox, contact nor group"},
		"homeless":              {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], mailbox: {homeServer: rome-1}}", "Recipient/x: mailbox.homeServer: Server/rome-1 does not exist"},
		"forwards to itself":    {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], mailbox: {homeServer: oslo-1, forwardTo: X@Example.test}}", "mailbox.forwardTo: is an address of the mailbox itself"},
		"contact loops":         {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], contact: {targetAddress: x@example.test}}", "contact.targetAddress: is the contact's own address"},
		"missing member":        {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], group: {members: [nobody]}}", "Recipient/x: group.members[0]: Recipient/nobody does not exist"},
		"member twice":          {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], group: {members: [alice, alice]}}", "group.members[1]: alice is named twice"},
		"group in itself":       {"kind: Recipient\nname: x\nspec: {addresses: [x@example.test], group: {members: [x]}}", "Recipient/x: group.members: the group contains itself: x > x"},
		"groups in a circle":    {"kind: Recipient\nname: leads\nspec: {addresses: [leads@example.test], group: {members: [everyone]}}", "the group contains itself: everyone > leads > everyone"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := Validate(withDocuments(t, c.add))
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), c.want) {
				t.Errorf("got %v\nwant one with %q", problems, c.want)
			}
		})
	}
}

func withDocuments(t *testing.T, text string) []*directoryv1.Object {
	t.Helper()
	added, err := DecodeYAML(strings.NewReader(text), "added")
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[Key]bool{}
	for _, o := range added {
		replaced[KeyOf(o)] = true
	}
	var all []*directoryv1.Object
	for _, o := range loadThreeSites(t) {
		if !replaced[KeyOf(o)] {
			all = append(all, o)
		}
	}
	return append(all, added...)
}

func TestValidateAllows(t *testing.T) {
	for name, text := range map[string]string{
		"forced relay":   "kind: VirtualServer\nname: x\nspec: {server: paris-1, relay: {allExcept: true, force: true}}",
		"forced":         "kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], allowRelay: true, forceOpenRelay: true}",
		"narrow relay":   "kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*.example'], allowRelay: true}",
		"literal IPv6":   "kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: ['[2001:db8::1]:26', '[IPv6:2001:db8::1]', 'host:26', host]}",
		"other group":    "kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [oslo-1.example.test]}",
		"second port":    "kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:2601', '[::1]:2501']}",
		"shared domain":  "kind: RecipientPolicy\nname: x\nspec: {domains: [{domain: merged.example, shared: true}]}",
		"diamond":        "kind: Recipient\nname: x\nspec: {addresses: [x@example.test, 'X400:c=us;s=x'], group: {members: [leads, everyone]}}",
		"schedule":       "kind: Schedule\nname: x\nspec: {timeZone: UTC, open: ['Mon-Fri,Sun 22:00-06:15', '00:00-24:00']}",
		"LMTP and drop":  "kind: ForeignConnector\nname: x\nspec: {routingGroup: oslo, addressSpaces: ['X400:*'], dropDirectory: /drop}",
		"Unicode name":   "kind: RoutingGroup\nname: Zürich-1",
		"contact at own": "kind: Recipient\nname: x\nspec: {addresses: [x@out.example], contact: {targetAddress: x@out.example}}",
	} {
		if err := Invalid(Validate(withDocuments(t, text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct{ add, want string }{
		"one way":        {"kind: RoutingGroup\nname: rome\n---\nkind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: rome}", "no connector leads from rome back to paris"},
		"unused space":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: [example.test]}", "is never used: example.test is ours alone"},
		"foreign domain": {"kind: Recipient\nname: x\nspec: {addresses: [x@elsewhere.example], mailbox: {homeServer: oslo-1}}", "the domain elsewhere.example is in no RecipientPolicy"},
		"short timeout":  {"kind: VirtualServer\nname: x\nspec: {server: oslo-1, limits: {timeout: 1m, maxRecipients: 100}}", "RFC 5321 asks for at least 5m"},
	} {
		if w := Warnings(withDocuments(t, c.add)); len(w) != 1 || !strings.Contains(w[0].Error(), c.want) {
			t.Errorf("%s: %v, want one with %q", name, w, c.want)
		}
	}
}

func TestInvalid(t *testing.T) {
	if Invalid(nil) != nil {
		t.Error("no problems are an error")
	}
	many := make([]Problem, 3*maxListed)
	err := Invalid(many)
	p, ok := errors.AsType[Problem](err)
	if !errors.Is(err, ErrInvalid) || !ok || p != many[0] || strings.Count(err.Error(), "\n") > maxListed+1 {
		t.Errorf("%v", err)
	}
}

func TestNewConfigurationRefuses(t *testing.T) {
	base := withGUIDs(loadThreeSites(t))
	for name, spoil := range map[string]func(){
		"GUID twice":    func() { base[3].Metadata.Guid = base[2].Metadata.Guid },
		"no GUID":       func() { base[3].Metadata.Guid = "" },
		"name twice":    func() { base[3].Metadata.Name = base[2].Metadata.Name },
		"no name":       func() { base[3].Metadata.Name = "" },
		"two orgs":      func() { base[3].Spec = base[0].Spec },
		"spec is empty": func() { base[3].Spec = nil },
	} {
		base = withGUIDs(loadThreeSites(t))
		spoil()
		if c, err := NewConfiguration(1, base); err == nil {
			t.Errorf("%s: gave %v", name, c.Groups())
		}
	}
}
