// Package track keeps one record of every hand-over of a message: the message
// tracking log, its metrics, and one line of the node's own log each.
//
// [Log.Record] only appends to a buffer; one goroutine writes the buffer out
// every [FlushInterval], and before every Find. The buffer is bounded: if the
// disk cannot keep up, events are dropped and counted
// (postroad_tracking_dropped_total), because a record about mail must never hold
// up mail. Files are not synced: a power failure may take the last seconds.
//
// Files are JSON lines, named DAY.NUMBER.jsonl by UTC day; a day has several
// when one grows beyond 256 MiB. The oldest go when they are older than
// Config.Retention, or when all together exceed Config.MaxBytes. Many that become too old
// at once (the clock was set, or the node was off) stay for another day.
//
// Find reads the files themselves, newest first; there is no index. It stops
// after [MaxScan] octets (a few seconds) and says that it did.
package track
