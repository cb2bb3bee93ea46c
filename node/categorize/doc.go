// Package categorize resolves the recipients of a message against the
// directory: proxy addresses to mailboxes and their home servers, contacts to
// their target addresses, forwarding, distribution groups, however nested, to
// their members. What comes out are targets with final destinations; which way
// leads there is the business of routing.
//
// # Rules
//
//   - Each final recipient gets the message once, however often and under
//     whatever address it is listed.
//   - A directory that does not answer is a temporary error of the whole
//     message, never a bounce.
//   - An unknown address in a domain that is ours alone fails with 5.1.1, or goes
//     to the host for unresolved recipients; in a shared domain, and in any
//     other, it is foreign.
//   - Members that a group names but the directory does not have (any more) are
//     passed over: the sender can do nothing about them.
//   - Redirections that come back to where they began without anybody having
//     got a copy fail with 5.4.6. Groups that contain each other are harmless.
//   - Nothing vanishes: a recipient that resolves to nobody at all fails with
//     5.2.4, or 5.4.6 if a loop was the reason.
//
// Resolving is repeatable: the same message and the same directory give the
// same targets in the same order, so that it can be done again after a crash.
package categorize
