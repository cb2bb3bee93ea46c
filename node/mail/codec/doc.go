// Package codec turns the nouns of package mail into the bytes of the spool
// (proto/postroad/spool) and of the XPOSTROAD parameter between nodes
// (proto/postroad/node), and back.
//
// Encoding cannot fail: text that is not UTF-8, which a protobuf string may not
// hold, has the offending octets replaced by U+FFFD. Stages refuse such
// addresses before they make an envelope of them, so only what a peer said about
// itself (HELO argument, Message-ID) is ever changed.
//
// Decoding trusts nothing: a value that no encoder writes is an error that wraps
// [ErrCorrupt] and names the field.
package codec
