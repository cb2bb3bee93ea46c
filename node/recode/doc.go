// Package recode rewrites a message for a host that does not take its octets: to
// 7bit where 8BITMIME is missing (RFC 6152 section 3), to 8bit where BINARYMIME
// is (RFC 3030 section 3). It is pure: it reads a stream and gives a stream, in
// bounded memory whatever the size of the message.
//
// A content is read twice. [Survey] walks its MIME structure, decides for every
// entity what is to become of it and finds the size of the result; [Plan.Reader]
// does it. What a receiver decodes from the result is what it would have decoded
// from the original, octet by octet, for every part; line ends of text included.
//
//	multipart/*, message/rfc822  the label follows what is inside (RFC 2045 section 6.4)
//	text, message/*              quoted-printable, or base64 where that is shorter
//	anything else                base64
//	quoted-printable, base64     stay; octets that have no place in them are encoded or dropped
//	no MIME at all               becomes text/plain of an unknown 8-bit character set (RFC 1428)
//
// Not everything can be rewritten. What a signature covers (RFC 1847 section
// 2.1), parts of messages in pieces (RFC 2046 section 5.2.2.1), and header fields
// that are not ASCII are refused, with a [Refusal]. A DKIM signature (RFC 6376
// section 5.3) does not survive a change of the body; [Plan.Signed] tells.
package recode
