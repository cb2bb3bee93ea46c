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
		"negative divergence": {"kind: Organization\nname: example\nspec: {linkState: {divergedAfter: -1s}}", "linkState.divergedAfter: must be longer than 0"},
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
		"pressure out of order":   {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, backPressure: {diskSizeMedium: 100MiB}}", "Server/x: backPressure.diskSizeHigh: is 536870912, above diskSizeMedium (104857600)"},
		"memory out of order":     {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, backPressure: {memoryMedium: 90}}", "backPressure.memoryHigh: is 85, below memoryMedium (90)"},
		"more than all inodes":    {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, backPressure: {inodesMedium: 101}}", "backPressure.inodesHigh: inodesMedium and inodesHigh must be between 0 and 100"},
		"less than no connection": {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, outbound: {maxConnections: -1}}", "Server/x: outbound.maxConnections: is -1, must not be negative; leave it out for the default"},
		"LMTP path":               {"kind: Server\nname: x\nspec: {routingGroup: paris, fqdn: x.example.test, localDelivery: {lmtp: {address: 'unix:run/x'}}}", "localDelivery.lmtp.address: is \"unix:run/x\", must have an absolute path"},

		"listener of missing server": {"kind: VirtualServer\nname: x\nspec: {server: rome-1}", "VirtualServer/x: server: Server/rome-1 does not exist"},
		"binding taken":              {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:2501']}", "bindings: 127.0.0.1:2501 is taken by VirtualServer/"},
		"binding taken by all":       {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['0.0.0.0:2501']}", "is taken by VirtualServer/"},
		"LMTP on port 25":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['192.0.2.1:25'], protocol: {lmtp: true}}", "VirtualServer/x: protocol.lmtp: must not speak on port 25 (192.0.2.1:25)"},
		"LMTP where SMTP is usual":   {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocol: {lmtp: true}}", "VirtualServer/x: protocol.lmtp: must not speak on port 25 (:25)"},
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

		"preset and relay":           {"kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: submission, relay: {networks: [192.0.2.0/24]}}", "VirtualServer/x: relay: preset submission lets authenticated users relay and nobody else"},
		"preset and clear passwords": {"kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: submissions, authentication: {noBasic: true}}", "authentication: preset submissions offers passwords"},
		"preset without clients":     {"kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: relay, bindings: [':26']}", "relay: preset relay serves the clients of relay.networks"},
		"preset, authentication":     {"kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: relay, relay: {networks: [192.0.2.1]}, authentication: {required: true}}", "preset relay is for machines that cannot authenticate"},
		"half an SNI certificate":    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, tls: {certificates: [{keyFile: /k}]}}", "tls.certificates[0]: must have certificateFile and keyFile"},
		"relative Dovecot socket":    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, authentication: {dovecotSocket: auth}}", `authentication.dovecotSocket: is "auth", must be an absolute path`},
		"Dovecot without passwords":  {"kind: VirtualServer\nname: x\nspec: {server: paris-1, authentication: {dovecotSocket: /a, noBasic: true}}", "which noBasic takes away"},
		"basic, yes and no":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, authentication: {basicInClear: true, noBasic: true}}", "authentication.basicInClear: contradicts noBasic"},
		"nobody can authenticate":    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, authentication: {required: true, noIntegrated: true, noBasic: true}}", "authentication: is required and nothing is offered"},
		"nobody may connect":         {"kind: VirtualServer\nname: x\nspec: {server: paris-1, connectionControl: {only: true}}", "connectionControl.only: lets nobody connect"},
		"connection network":         {"kind: VirtualServer\nname: x\nspec: {server: paris-1, connectionControl: {networks: [lan]}}", `connectionControl.networks[0]: is "lan"`},
		"connection domain":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, connectionControl: {domains: ['*.x']}}", `connectionControl.domains[0]: is "*.x"`},
		"relay domain":               {"kind: VirtualServer\nname: x\nspec: {server: paris-1, relay: {domains: ['10.0.0.1']}}", "relay.domains[0]: is an IP address, must be a domain name"},
		"own domains":                {"kind: VirtualServer\nname: x\nspec: {server: paris-1, senderPolicy: {ownDomainsFrom: [x]}}", `senderPolicy.ownDomainsFrom[0]: is "x"`},
		"unknown keyword":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocol: {without: [XEXCH50]}}", `protocol.without[0]: is "XEXCH50", must be one of`},
		"proxies":                    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocol: {proxyNetworks: [x]}}", `protocol.proxyNetworks[0]: is "x"`},
		"XCLIENT":                    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocol: {xclientNetworks: [x]}}", `protocol.xclientNetworks[0]: is "x"`},
		"hold":                       {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocol: {holdForAnyone: true}}", "protocol.holdForAnyone: offers nothing without maxHold"},
		"bounds":                     {"kind: VirtualServer\nname: x\nspec: {server: paris-1, limits: {maxHandshakes: -1}}", "limits.maxHandshakes: is -1"},
		"delay of failures":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, limits: {authFailureDelay: 2m}}", "limits.authFailureDelay: is 2m, must be at most 1m"},
		"refused recipient":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, recipientFilter: {refused: [x]}}", `recipientFilter.refused[0]: is "x"`},
		"tarpit":                     {"kind: VirtualServer\nname: x\nspec: {server: paris-1, recipientFilter: {tarpit: 61s}}", "recipientFilter.tarpit: must be 0s to 1m"},
		"missing filter":             {"kind: VirtualServer\nname: x\nspec: {server: paris-1, filtering: {filters: [none]}}", "filtering.filters[0]: MessageFilter/none does not exist"},
		"filters off and on":         {"kind: VirtualServer\nname: x\nspec: {server: paris-1, filtering: {disabled: true, unfilteredBindings: [':25']}}", "filtering.disabled: leaves nothing to"},
		"unfiltered binding":         {"kind: VirtualServer\nname: x\nspec: {server: paris-1, filtering: {unfilteredBindings: [':26']}}", "filtering.unfilteredBindings[0]: :26 is none of the bindings"},
		"block list without zone":    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {lists: [{codes: [127.0.0.2]}]}}", "blockLists.lists[0].zone: is missing"},
		"block list twice":           {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {lists: [{zone: a.test}, {zone: A.test}]}}", "blockLists.lists[1].zone: A.test is asked twice"},
		"block list code":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {lists: [{zone: a.test, codes: [192.0.2.1]}]}}", `blockLists.lists[0].codes[0]: is "192.0.2.1"`},
		"block list reply":           {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {lists: [{zone: a.test, reply: \"a\\nb\"}]}}", "blockLists.lists[0].reply: must be at most 200"},
		"block list patience":        {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {timeout: 2m}}", "blockLists.timeout: is 2m, must be at most 1m"},
		"exempt":                     {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {exemptNetworks: [x]}}", `blockLists.exemptNetworks[0]: is "x"`},
		"exempt recipient":           {"kind: VirtualServer\nname: x\nspec: {server: paris-1, blockLists: {exemptRecipients: ['@']}}", "blockLists.exemptRecipients[0]: is"},
		"log field":                  {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocolLog: {fields: [date, sc-win32-status]}}", `protocolLog.fields[1]: is "sc-win32-status"`},
		"log field twice":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocolLog: {fields: [date, date]}}", "protocolLog.fields[1]: date is written twice"},
		"log folder":                 {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocolLog: {directory: log}}", `protocolLog.directory: is "log", must be an absolute path`},
		"log size":                   {"kind: VirtualServer\nname: x\nspec: {server: paris-1, protocolLog: {maxSize: -1}}", "protocolLog.maxSize: is -1"},
		"two formats":                {"kind: MessageFormat\nname: x\nspec: {domain: a.test}\n---\nkind: MessageFormat\nname: z\nspec: {domain: A.test}", "domain: is A.test, for which there is MessageFormat/x already"},
		"copy of reports":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, ndrCopyTo: x}", `ndrCopyTo: is "x"`},
		"badmail":                    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, badmailDirectory: bad}", `badmailDirectory: is "bad", must be an absolute path`},
		"unresolved host":            {"kind: VirtualServer\nname: x\nspec: {server: paris-1, unresolvedHost: 192.0.2.1}", "unresolvedHost: is the bare IP address 192.0.2.1"},
		"unresolved host, itself":    {"kind: VirtualServer\nname: x\nspec: {server: paris-1, unresolvedHost: paris-1.example.test}", "unresolvedHost: is paris-1.example.test, which is this server itself"},
		"display names":              {"kind: VirtualServer\nname: x\nspec: {server: paris-1, displayNames: {anonymous: true, recipients: true}}", "displayNames.anonymous: changes nothing without from or replyTo"},

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
		"sender":                     {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {acceptFrom: ['@a..b']}}", `restrictions.acceptFrom[0]: is "@a..b": each label`},
		"sender that is nothing":     {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {rejectFrom: ['a b']}}", `restrictions.rejectFrom[0]: is "a b": no name of a Recipient; write x@example.com`},
		"sender that is missing":     {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {rejectFrom: [nobody]}}", `restrictions.rejectFrom[0]: Recipient/nobody does not exist; create it or correct the name`},
		"sender twice":               {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, restrictions: {acceptFrom: [A@b.c, a@B.c]}}", `restrictions.acceptFrom[1]: a@B.c is named twice`},
		"weight":                     {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, weight: 101}", `RoutingGroupConnector/x: weight: is 101, must be 1 to 100; leave it out for 1`},
		"weight of a stranger":       {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, localBridgeheads: [paris-1], bridgeheadWeights: [{server: paris-2, weight: 2}]}", `bridgeheadWeights[0].server: Server/paris-2 is no bridgehead of the connector`},
		"weight of a server twice":   {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, bridgeheadWeights: [{server: oslo-1, weight: 2}, {server: oslo-1}]}", `bridgeheadWeights[1].server: Server/oslo-1 is named twice`},
		"weight of a bridgehead":     {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, bridgeheadWeights: [{server: oslo-1, weight: -2}]}", `bridgeheadWeights[0].weight: is -2, must be 1 to 100`},
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

		"masquerade":              {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {masqueradeDomain: a b}}", "outbound.masqueradeDomain: is \"a b\""},
		"helo name":               {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {heloName: '[::1]'}}", "outbound.heloName: is \"[::1]\""},
		"direct first to nowhere": {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {directFirst: true}}", "outbound.directFirst: needs a smartHost"},
		"credentials for nobody":  {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {credentials: {user: u, passwordFile: /p}}}", "outbound.credentials: are for the smartHost"},
		"source address":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {sourceAddresses: [eth0]}}", "outbound.sourceAddresses[0]: is \"eth0\", must be an IP address"},
		"two sources of a family": {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {sourceAddresses: [192.0.2.1, '2001:db8::1', 192.0.2.2]}}", "outbound.sourceAddresses[2]: is 192.0.2.2, and 192.0.2.1 is of the same family"},
		"timeout":                 {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {timeouts: {greeting: -1s}}}", "outbound.timeouts.greeting: must be longer than 0"},
		"stalled after":           {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], retry: {stalledAfter: 5s}}", "retry.stalledAfter: is below a minute"},
		"low expiration":          {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], retry: {lowPriority: {expiration: 1m}}}", "retry.lowPriority.expiration: is shorter than the first retry"},
		"high delay notice":       {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], retry: {highPriority: {delayNotice: -1m}}}", "retry.highPriority.delayNotice"},
		"messages a connection":   {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], outbound: {maxMessagesPerConnection: -1}}", "outbound.maxMessagesPerConnection"},
		"local expiration":        {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], retry: {localExpiration: 1m}}", "retry.localExpiration: is shorter than the first retry"},
		"no such schedule":        {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], schedule: nights}", "SMTPConnector/x: schedule: Schedule/nights does not exist"},
		"oversize without":        {"kind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: oslo, oversizeThreshold: 5}", "oversizeThreshold: counts only with oversizeSchedule"},
		"triggered by nobody":     {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], etrnNetworks: ['192.0.2.0/24']}", "remoteTriggered: is not set"},
		"trigger of no account":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], remoteTriggered: true, triggerAccounts: [nobody]}", "triggerAccounts[0]: Account/nobody does not exist"},
		"shares in written order": {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [a.example.net], smartHostWeights: [{host: a.example.net, weight: 2}]}", "smartHostWeights[0]: counts only with smartHostOrder even"},
		"share of a stranger":     {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [a.example.net], smartHostOrder: even, smartHostWeights: [{host: b.example.net, weight: 2}]}", "smartHostWeights[0].host: b.example.net is none of the smartHosts"},
		"share of a host twice":   {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [a.example.net], smartHostOrder: even, smartHostWeights: [{host: a.example.net, weight: 2}, {host: A.example.net}]}", "smartHostWeights[1].host: A.example.net is named twice"},
		"share too large":         {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [a.example.net], smartHostOrder: even, smartHostWeights: [{host: a.example.net, weight: 101}]}", "smartHostWeights[0].weight: is 101"},
		"smart hosts, one bare":   {"kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:9'], smartHost: 'a.example.net, 192.0.2.1'}", "smartHost: is the bare IP address 192.0.2.1"},
		"name in half a bracket":  {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: ['[a.example.net']}", "smartHosts[0]: is \"[a.example.net\""},
		"dequeue without method":  {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {host: mx.example.net}}", "SMTPConnector/x: dequeue.method: is missing; write ETRN, ATRN or TURN"},
		"dequeue from nowhere":    {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, domains: [a.example]}}", "dequeue.host: is missing"},
		"dequeue host":            {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: 192.0.2.1, domains: [a.example]}}", "dequeue.host: is the bare IP address"},
		"ETRN of nothing":         {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: mx.example.net}}", "dequeue.domains: are missing"},
		"ETRN domain":             {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: mx.example.net, domains: ['#a b']}}", `dequeue.domains[0]: is "#a b"`},
		"ATRN domain":             {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ATRN, host: mx.example.net, domains: ['@a.example'], credentials: {user: u, passwordFile: /p}}}", `dequeue.domains[0]: is "@a.example"`},
		"ATRN of anybody":         {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ATRN, host: mx.example.net}}", "dequeue.credentials: are missing; ATRN goes to a provider that knows who asks"},
		"password for another":    {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [out.example.net], credentials: {user: u, passwordFile: /p}, dequeue: {method: TURN, host: mx.example.net}}", "dequeue.credentials: are missing; TURN"},
		"TURN of domains":         {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], smartHosts: [mx.example.net], credentials: {user: u, passwordFile: /p}, dequeue: {method: TURN, domains: [a.example]}}", "dequeue.domains: cannot be named with TURN"},
		"dequeue schedule":        {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: mx.example.net, domains: [a.example], schedule: gone}}", "dequeue.schedule: Schedule/gone does not exist"},
		"dequeue interval":        {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: mx.example.net, domains: [a.example], interval: 90s}}", "dequeue.interval: must be whole minutes from 1m to 24h"},
		"dequeue virtual server":  {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], dequeue: {method: ETRN, host: mx.example.net, domains: [a.example], virtualServer: gone}}", "dequeue.virtualServer: VirtualServer/gone does not exist"},
		"etrn network":            {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: ['*'], remoteTriggered: true, etrnNetworks: [lan]}", "etrnNetworks[0]: is \"lan\""},
		"rule of a bad filter":    {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b and siz > 5', action: hold}", "MailRule/x: match: filter, column 18:"},
		"rule for everything":     {"kind: MailRule\nname: x\nspec: {action: hold}", "MailRule/x: match: filter, column 1:"},
		"rule without an action":  {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b'}", "MailRule/x: action: is missing; write hold, bounce or redirect"},
		"rule to nowhere":         {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: redirect}", "MailRule/x: to: is missing"},
		"rule to no connector":    {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: redirect, to: 'connector:gone'}", "MailRule/x: to: no connector is called \"gone\""},
		"rule to no host":         {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: redirect, to: 'mx.example:0'}", "MailRule/x: to: is \"mx.example:0\" must be"},
		"rule that holds to":      {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: hold, to: mx.example}", "MailRule/x: to: counts only with action redirect"},
		"rule that ends badly":    {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: hold, expires: tomorrow}", "MailRule/x: expires: is \"tomorrow\", must be a time like"},
		"rule of no server":       {"kind: MailRule\nname: x\nspec: {match: 'sender = a@b', action: bounce, servers: [gone]}", "MailRule/x: servers[0]: Server/gone does not exist"},
		"schedule that is a word": {"kind: Schedule\nname: always\nspec: {}", "Schedule/always: name: is a word that connectors understand"},
		"schedule of no time":     {"kind: Schedule\nname: x\nspec: {open: ['Mon 08:00-08:00']}", "open[0]: is \"Mon 08:00-08:00\""},
		"schedule from the end":   {"kind: Schedule\nname: x\nspec: {open: ['Mon 24:00-08:00']}", "open[0]: is"},

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
		"submission":     "kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: submission}\n---\nkind: VirtualServer\nname: z\nspec: {server: paris-1, preset: submissions, authentication: {dovecotSocket: /run/dovecot/auth-client}}",
		"relay preset":   "kind: VirtualServer\nname: x\nspec: {server: paris-1, preset: relay, bindings: [':2526'], relay: {networks: [192.0.2.0/24], domains: [printers.example.test]}}",
		"all of inbound": "kind: MessageFilter\nname: f\nspec: {senders: ['@bad.example'], action: silent, archive: true}\n---\nkind: VirtualServer\nname: x\nspec: {server: paris-1, state: paused, connectionControl: {only: true, networks: [192.0.2.1, '2001:db8::/32'], domains: [example.net]}, protocol: {strictPaths: true, without: [chunking]}, senderPolicy: {refuseOwnDomains: true, ownDomainsFrom: [192.0.2.0/24]}, recipientFilter: {refused: [a@example.test, '@b.test'], tarpit: 5s}, filtering: {filters: [f], unfilteredBindings: [':25']}, blockLists: {lists: [{zone: bl.example, codes: [127.0.0.2, 127.0.0.8/29], reply: 'no {address}'}], exemptRecipients: [postmaster@example.test], timeout: 3s}, protocolLog: {enabled: true, fields: [date, c-ip], rotation: hourly, maxSize: 1MiB}, ndrCopyTo: a@example.test, badmailDirectory: /bad, unresolvedHost: '[192.0.2.7]:26', displayNames: {from: true, anonymous: true}}",
		"second port":    "kind: VirtualServer\nname: x\nspec: {server: paris-1, bindings: ['127.0.0.1:2601', '[::1]:2501']}",
		"shared domain":  "kind: RecipientPolicy\nname: x\nspec: {domains: [{domain: merged.example, shared: true}]}",
		"diamond":        "kind: Recipient\nname: x\nspec: {addresses: [x@example.test, 'X400:c=us;s=x'], group: {members: [leads, everyone]}}",
		"mail rule":      "kind: MailRule\nname: x\nspec: {match: 'recipient ~ *@b', action: redirect, to: 'connector:internet', reason: why, expires: '2030-01-01T00:00:00Z', servers: [paris-1]}",
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
		"one way":         {"kind: RoutingGroup\nname: rome\n---\nkind: RoutingGroupConnector\nname: x\nspec: {sourceGroup: paris, targetGroup: rome}", "no connector leads from rome back to paris"},
		"unused space":    {"kind: SMTPConnector\nname: x\nspec: {routingGroup: paris, addressSpaces: [example.test]}", "is never used: example.test is ours alone"},
		"foreign domain":  {"kind: Recipient\nname: x\nspec: {addresses: [x@elsewhere.example], mailbox: {homeServer: oslo-1}}", "the domain elsewhere.example is in no RecipientPolicy"},
		"clear password":  {"kind: VirtualServer\nname: x\nspec: {server: oslo-1, authentication: {basicInClear: true}}", "lets passwords cross the network unencrypted"},
		"no reports":      {"kind: MessageFilter\nname: x\nspec: {blankSenders: true}", "keeps reports from own users too"},
		"relative path":   {"kind: VirtualServer\nname: x\nspec: {server: oslo-1, tls: {certificateFile: mx.crt, keyFile: /mx.key}}", `tls.certificateFile: is "mx.crt", which is looked for where the node was started`},
		"short timeout":   {"kind: VirtualServer\nname: x\nspec: {server: oslo-1, limits: {timeout: 1m, maxRecipients: 100}}", "RFC 5321 asks for at least 5m"},
		"second retry":    {"kind: VirtualServer\nname: x\nspec: {server: oslo-1, bindings: ['127.0.0.1:2555'], retry: {first: 1m}}", "retry: is not used: oslo-1 sends as VirtualServer/oslo-1-smtp"},
		"only connectors": {"kind: VirtualServer\nname: a\nspec: {server: oslo-1, bindings: ['127.0.0.1:2555'], connectorsOnly: true, outbound: {port: 26}}", "outbound: is not used: oslo-1 sends as VirtualServer/oslo-1-smtp"},
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
