// Package pickup takes messages from a folder: those that programs of this host
// leave there (the pickup directory of the original), and those that were
// exported from another node's spool (its replay directory). It is the second
// way in beside SMTP, and like SMTP it ends at acceptance.
//
// # Files
//
// A file holds one message as RFC 5322 has it; lines end in CRLF or LF. It is
// taken when its name ends in ".eml" and does not begin with a dot: write it
// under another name and rename it. In front of the header may stand, in this
// order or any other:
//
//	X-Sender: <ada@example.com>
//	X-Receiver: <bob@example.net>      once for each recipient
//	X-Envelope: <base64>               the rest of the envelope, as Write writes it
//
// Without X-Receiver the recipients are those of To, Cc and Bcc, or of the
// Resent fields if there are any (RFC 5322 section 3.6.6), and Bcc is taken out;
// without X-Sender the sender is that of Sender or From.
//
// # Pairs
//
// What drop directories of foreign connectors have is taken from the replay folder:
// the content NAME.eml, and NAME.json with the envelope, which comes last and is
// what counts. So a gateway, or another node's connector, may write there directly.
//
// Whoever can write into the folder may send to anybody under any name, as root
// may: the folder belongs to the node's user, and who else may write is its
// administrator's decision.
//
// # What becomes of a file
//
// Accepted: deleted, after the message is durable. A crash in between takes the
// same file again, as the same message: Origin is made of the file, and so the
// copy in a maildir replaces the first. Refused for good (no recipients, no
// header, a bare CR): moved to "bad" with the reason beside it. Refused for now
// (the disk is full): left, and tried again.
package pickup
