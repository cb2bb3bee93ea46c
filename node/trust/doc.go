// Package trust is who may claim to be whom inside the organisation: the
// cluster's certificate authority, the certificates it gives to nodes and
// administrators, and the TLS settings that check them.
//
// A certificate names its holder by a URI (RFC 5280 section 4.2.1.6):
//
//	postroad://ORGANIZATION/server/NAME
//	postroad://ORGANIZATION/admin/NAME
//
// Host names are not compared between nodes: nodes move between addresses, and
// what matters is which node answers, not where.
package trust
