// Package spool keeps accepted messages until each of their recipients is
// settled. It knows bytes, keys and message identifiers; it does not know SMTP.
//
// A spool is one Pebble store in a folder, and beside it files for the bodies that
// are larger than a chunk (bodyfile.go). Accept, Settle and Remove return when
// what they did is durable; calls that run at the same time share a sync.
//
// # Keys
//
//	0x00 "epoch"               how often the spool was opened          4 octets
//	0x00 "format"              the format of all keys; absent: 1       4 octets (migrate.go)
//	0x00 "ledger" stripe       what came in and what became of it      sums by line (ledger.go)
//	0x00 "since"               the epoch of the ledger, and its begin  12 octets
//	0x00 "control"             what stands, of an administrator's orders  caller's octets
//	'b' body 0                 a body of one chunk, at most 256 KiB     octets of the body
//	'm' message 'e'            the envelope                            flags, body, chunks, size, file, caller's octets
//	0x00 "controllost"         that cannot be known any more (heal.go)    -
//	0x00 "reclaim" message     there may be bodies of nobody (reclaim.go) -
//	'b' body chunk             256 KiB of a body, the last one less    octets of the body
//	'm' message 'e'            the envelope                            flags, body, chunks, size, caller's octets
//	'm' message 'p'            the plan                                caller's octets
//	'm' message 'o' target     the last outcome of a target            caller's octets
//	'm' message 'q' due queue  the message is in that queue            the entry's tag
//	'o' body                   format 1: chunks, no envelope yet       -
//	'q' queue due message      an entry of a queue                     the entry's tag
//	'r' body message           an envelope of a shared body            -
//	's' message                accepted and not planned                -
//	'x' message                it was set aside: from where, and why   entries with their tags, caller's octets
//
// The ledger changes in the batch of what it counts, by Pebble's Merge, so it is
// right after every crash; Audit and Check hold it against what is there.
//
// A message is named by the caller (16 octets), a body by the spool: the epoch
// and a number (12 octets). Numbers are big-endian, so keys sort as they do; a
// queue's name is closed so that names sort too (keys.go).
//
// # States
//
// Every key belongs to exactly one of these; the test's audit reads all keys and
// finds any that do not.
//
//	state      keys                                        how it comes
//	absent     none
//	streaming  none; a file if it is large                 Body.Write
//	submitted  b or a file, m.e, s; r if the body is shared  Accept, or as a report of Plan, Settle, Remove
//	planned    as before without s; m.p, m.q and q (pairs),  Plan
//	           m.o
//	aside      as submitted or planned, with x in place  SetAside
//	           of s, or of some of the q (m.q stays)
//
// # Transitions
//
// Each is one batch, so a crash leaves the state before or the state after. A
// batch is durable when it or any later batch was synced: the log is written in
// order. Columns: the points of [FaultPoints] on the way, what a crash there may
// leave, and who repairs that.
//
//	transition               points                    a crash leaves            repaired by
//	(nothing) -> store       open.created, .marked     a store without FORMAT    Open begins again: nothing was accepted yet
//	absent -> streaming      body.chunk, .written      a file that nobody names  Open removes those, in the background
//	streaming -> absent      body.discarded            the same                  the same
//	streaming -> submitted   accept.begin              the same; no 250 was sent the same
//	                         body.synced               the same                  the same
//	                         accept.synced             submitted, unanswered     nobody: the client sends again, a duplicate
//	                                                                             (RFC 5321 section 4.2.5 accepts it)
//	submitted -> planned     plan.begin, .applied      submitted or planned      the queue plans again what Submitted lists
//	planned -> planned       settle.begin, .applied    the entry before or       the queue attempts again: the peer may get a
//	                         settle.synced             after the attempt         duplicate, never nothing
//	planned -> absent        the same                  planned or absent         the same
//	any -> absent            remove.begin, .applied    before or after           the administrator sees it and asks again
//	                         remove.synced
//	any <-> aside            aside.begin, .synced      before or after           the queue meets it again; the administrator sees it
//	o -> absent              sweep.begin, .done        before or after           the next Open
//
// A plan is not synced, because its loss is repaired without harm: nothing that is
// seen outside (a 250, a settled recipient, a report) can be durable without the plan
// that came before it in the log. Files are not in the log: they are synced by
// themselves, before the batch with the envelope.
//
// A body that one envelope has belongs to it alone. A body that several have
// (one Accept) is deleted with the last of its r keys. Files that nobody names stay
// while some envelope cannot be read.
//
// # Deletion
//
// Every key but an outcome's and those that begin with 0x00 is set once, and set again only after
// it was deleted. That is what Pebble's SingleDelete asks for: a key and its
// deletion that meet vanish together, so that mail which is delivered within the
// life of a memtable is written to the log and never to a table. Calls check the
// state under the message's lock before they set or delete; Pebble reports a
// broken rule, and the tests fail on such a report.
//
// Tables that are mostly of finished mail are merged away when no mail comes (tidy.go).
//
// # Full and failing disks
//
// New mail is refused with [ErrFull] while less than Options.MinFree is free: the
// reserve is for tables and for settling what is in. If the disk is full all the
// same (others write to it too), Pebble is never told: its writes wait and are
// repeated (patient.go), calls that come meanwhile get ErrFull at once, and those
// under way go on when there is room. So an Accept may last as long as the disk
// stays full; a client that gives up on it may get its message accepted and send
// it again.
//
// What remains: a write to the log that fails for another reason, and any sync of
// it that fails (on some file systems also for want of room), cannot be repeated
// safely. The spool is then failed ([ErrFailed], Spool.Failed) and its disk
// frozen: reads work, writes do not, no call waits, and only a new process can
// open the folder again (failure.go). Close then ends without waiting for Pebble,
// whose goroutines stay until the process ends. Nothing that was acknowledged is
// lost by that. Tables that cannot be written are begun anew, some times.
//
// A disk that does not answer at all is given up after Options.DiskTimeout, while the
// spool is opened too, and has failed in the same way (watchdog.go). What waits for it in the
// kernel stays there until the process ends.
//
// An Open that fails leaves goroutines of Pebble behind if it had written a table.
//
// A block that cannot be read costs the messages that it holds: calls for them
// return [ErrCorrupt], the log has spool_corrupt, everything else goes on. Who meets
// one sets it aside (Spool.SetAside): it waits for an administrator, in no queue. The lists
// of queues and of what is submitted are made from the messages where they cannot be
// read (skim.go). Tables
// that hold such a block are not merged any more (spool_merging_stalled), until the next
// Open heals them: salvage.go replaces the block, heal.go has the steps and what a crash
// leaves at each, reconcile.go what is believed of the keys that were lost.
// [Spool.Check] reads all there is and names what is not whole; with
// Options.ReadOnly it changes nothing.
//
// # Memory
//
// At most four memtables (Options.MemTable each), a block cache of 32 MiB, what
// must be known of up to 131,072 messages touched lately (about 200 octets each),
// one count for each queue that is not empty, and for each body that streams in
// or out at most one chunk.
package spool
