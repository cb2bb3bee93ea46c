// Package reports proves what the reports of a node look like where they arrive: in a
// mailbox of Postfix, whose queue runner is the client that sent the messages.
//
//	client ──▶ Postfix ── example.test, loop.test ──▶ node ── postfix.test, loop.test ──▶ Postfix
//
// Groups are reported as expanded, once, and of their members only those that fail;
// more reports than the organisation allows are not sent, also not after a restart; a
// loop between the two ends at the node's own trace fields. Each report is taken apart
// by the letter of RFC 3464 and RFC 6522, by a parser that knows nothing of Postroad's.
package reports
