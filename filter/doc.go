// Package filter is the language in which an administrator says which queues or
// which messages are meant. It is pure: text goes in, an [Expr] comes out, and
// that judges a [Record].
//
//	state = retry and oldest > 2h
//	sender ~ *@shop.example and not (size >= 5M or priority = high)
//	error ~ "*mailbox full*" or attempts > 3
//
// # Grammar
//
//	filter     = or
//	or         = and *( "or" and )
//	and        = not *( "and" not )
//	not        = *"not" ( "(" or ")" / comparison )
//	comparison = field operator value
//	operator   = "=" / "!=" / "~" / "<" / "<=" / ">" / ">="
//	value      = word / DQUOTE *( char / "\" DQUOTE / "\\" ) DQUOTE
//
// A word ends at a blank or a parenthesis. Keywords, names and all texts compare
// without regard to case.
//
// # Meaning
//
// "~" compares the whole text with a pattern: "*" is any text, "?" one character,
// "\" before them takes away their meaning. A field may have several values (the
// recipients of a message): a comparison holds if it does for one of them, and
// "!=" is the opposite of "=", so it holds if no value is equal. A field without a
// value equals the empty text: `error = ""`, and `sender = "<>"` is the null sender.
//
// Sizes are octets, with K, M, G for powers of 1024 (as KiB, MiB, GiB), KB, MB, GB
// for powers of 1000. Ages have units s, m, h, d, w: "90s", "1h30m", "3d".
//
// # Partial knowledge
//
// A record may say that it does not know a field. [Filter.Judge] then answers
// [Unknown] if that field decides, so that a search can rule out what it need not
// read.
package filter
