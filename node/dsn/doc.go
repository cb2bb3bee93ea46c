// Package dsn writes delivery status notifications: outcomes in, a message out.
//
// It is pure: no clock, no I/O; the same input gives the same octets. A report
// has the three parts of RFC 6522: words for a human, the fields of RFC 3464 for
// programs, and the message it is about or its header. Where an address or
// the message needs UTF-8, the forms of RFC 6533 take their places.
//
// The words follow the book (chapter 7, table 2): what happened, the likely
// cause, what to do.
package dsn
