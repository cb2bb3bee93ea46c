// Package dequeue fetches the mail that providers hold for us: it decides when to
// ask which one, and keeps account of the answers. How to ask is the caller's
// matter.
//
//	Due       pure: is a task due at this minute
//	Fetcher   asks when a task is due, after deliveries, or when told to
//
// A provider that cannot be asked is asked again a few minutes later, so that a
// schedule of one quarter of an hour a day does not lose the day.
package dequeue
