// Package deliver is the way out of a node: it runs transactions over one hop
// and returns outcomes. It touches no queue; it pulls from a [mail.Feed].
//
// One call of [Agent.Serve] is the life of one connection. For the kinds of hop
// that speak SMTP or LMTP it has three parts:
//
//	open     endpoints -> dial -> greeting, EHLO, STARTTLS, EHLO, AUTH  (open.go, greet.go)
//	session  writer and reader over one FIFO of expected replies        (session.go, reader.go)
//	close    drain the window, QUIT
//
// The writer is the goroutine that called Serve; the reader is a second one, so
// neither can block the other, whatever the peer does. Each command is entered
// into the FIFO before it is written, with the stream offset at which it ends.
// A positive reply that comes before its command has been handed to the kernel
// is a lie, and a reply that nothing was sent for is one too: either costs
// the connection, never a message.
//
// What may be in flight:
//
//	PIPELINING + CHUNKING  whole transactions back to back, up to Options.Window
//	PIPELINING             MAIL, RCPT, DATA in one group; the next group directly after the final dot
//	neither                one command at a time
//
// Each transaction taken from the feed is reported exactly once. A flight has
// two parts, "answered" (the reader's, or the failure's) and "released" (the
// writer's, who may still be reading the content); whoever ends the second part
// reports. Feed.Done may therefore run on the reader's goroutine, beside Next or Wait.
//
// A host that says 421 where MAIL was asked, after taking mail, has enough of this
// connection and has not looked at what is in flight: that goes over another
// connection, without a deferral. Otherwise a lost connection defers whatever was
// not answered, with 4.4.2; a peer out of step with the protocol does so with
// 4.5.0. Verdicts that a peer gave before that (a refused recipient) stand.
package deliver
