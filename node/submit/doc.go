// Package submit is the only way into a node's spool. It names the message,
// adds the trace header, streams the content to disk and accepts it durably; a
// client's 250 may follow only then.
//
// [Submitter.Submit] is for messages that arrive. [Submitter.Prepare] is for
// messages made here (reports): it does all but the accepting, so that the
// maker can accept them in one step with what they report on, and call
// [Submitter.Announce] afterwards.
//
// # What is changed in a message
//
// One Received field is put in front (RFC 5321 section 4.4). If the submission
// asks for it, Date and Message-ID are added at the end of the header when they
// are missing. A message whose first lines are no header gets the empty line
// that must stand between header and body, for otherwise the text would become
// part of the trace header. Nothing else.
//
// # Visited groups
//
// This node's routing group is appended to Envelope.Visited here, unless it is
// the last one already: here because every message passes here, reports
// too. So the last element is always the group that holds the message, and the
// same group further up means that the message has come back.
package submit
