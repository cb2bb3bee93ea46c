// Package vserver is what a virtual server allows: who may connect, under whose
// name, to whom, how much. It implements the backend of package smtpd, which
// speaks the protocol and knows no rule; the two are one stage of the pipeline,
// and this is the only stage that imports another for that reason.
//
// # Who is who
//
// A client is a stranger, an authenticated user (AUTH PLAIN or LOGIN, against
// the organisation's Accounts), or another node of the organisation (AUTH
// EXTERNAL with a certificate of the cluster). Only a node's word is taken for
// what a message carries through the organisation: the passport in XPOSTROAD.
//
// # Which recipients are accepted
//
//   - In a domain that is ours alone: those the directory knows, and postmaster
//     (RFC 5321 section 4.5.1). Others get 550 5.1.1.
//   - In a shared domain: all; another system may know them.
//   - In any other domain: for nodes and those who may relay. Others get 550
//     5.7.1, unless the address is one of our mailboxes or groups.
//
// A directory that does not answer is 451 4.4.3, never a refusal for good.
//
// # Running
//
// [Set] runs the virtual servers of one node and follows the configuration: a
// change of rules applies from the next MAIL on; a change of bindings touches
// nothing but the binding that changed.
package vserver
