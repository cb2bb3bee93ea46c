// Package smtpd is Postroad's SMTP server engine: it turns octets into calls of
// a [Session] and their results into replies. It knows no policy; package
// vserver has that.
//
// The seam is go-smtp's: [smtp.Session], [smtp.MailOptions],
// [smtp.RcptOptions] and [smtp.SMTPError], extended by the optional interfaces
// in session.go. The engine is stricter than go-smtp's own server:
//
//   - Only CRLF ends a line and only CRLF.CRLF ends the content. A bare LF or
//     a NUL in a command closes the connection; in content, a bare CR, a bare LF
//     or a NUL refuses the message, or is repaired where [Config.LineEnds] and
//     [Config.NULs] say so, however it was sent, so that no relay behind this one
//     can be made to see two messages where this one saw one. Only what was
//     declared BINARYMIME may hold them, and that never leaves by DATA.
//   - Commands in the wrong order get 503, bad syntax 501, an unknown parameter 555.
//   - Octets that arrive together with STARTTLS end the connection
//     (RFC 3207, command injection).
//   - What EHLO lists the session keeps: an extension that needs more than the
//     engine is offered only where the session has the interface for it.
//
// A connection is one goroutine. It reads into one buffer, 1 KiB while idle and
// 32 KiB while busy; commands and content are decoded in place. Replies gather
// in a second buffer, which is written only when there is nothing left to
// decode (RFC 2920 section 3.2), or when the next message is about to be stored
// and the acknowledgement of the one before should not wait for that.
//
// BDAT needs no second goroutine either: the reader that Data gets reads the
// next command itself when a chunk is used up, and answers those commands that
// do not end the transfer.
package smtpd
