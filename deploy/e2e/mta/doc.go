// Package mta proves that Postroad and the mail transports that most of the
// world runs understand each other: Postfix, Exim and OpenSMTPD, in both
// directions, beside one node.
//
//	         clear.X: TLS_POLICY_NONE                         NOTIFY, ENVID, BODY, SMTPUTF8
//	client ──────────────▶ node ── SMTPConnector for each X ──▶ X.test
//	         X: TLS required, AUTH at Exim (known@ exists, nobody@ does not)
//
//	client ──▶ X.test ── everything that is not X's ──▶ node ──▶ alice@example.test
//
// Out (out_test.go): content to the octet with dots, 8-bit and lines of 998;
// 4 MiB, by BDAT where the peer offers CHUNKING; the DSN parameters, and the report
// that the peer then makes, or this node where the peer lacks DSN; UTF-8 addresses; a
// bounce; many messages over one connection. In (in_test.go): the same with the
// peer's queue runner as the client, and its bounces for what the node refuses.
package mta
