// Package codes says what the status codes of reports mean: to who sent the
// message, and to who runs the servers. Reports, `postroadctl ndr explain` and
// docs/ndr-codes.md all have their words from here.
package codes

import "github.com/postroad/postroad/node/mail"

// Code is one status code (RFC 3463). Most mean the same thing for now (4) and for
// good (5) and stand here once, in the class in which Postroad gives them most.
type Code struct {
	Status mail.Status
	// Book: it is in table 2 of the book's chapter 7.
	Book bool
	// Cause and Cure are for who sent the message: what it means, and what to do;
	// Cure may be empty.
	Cause, Cure string
	// Check tells an administrator where to look.
	Check string
	// Here is when Postroad itself gives the code, or why it never does.
	Here string
}

// All lists the codes that have words of their own, by number; those that end in
// .0 stand for all others of their subject.
func All() []Code { return append([]Code(nil), table...) }

// Find gives the code for a status: its own, else that of the other class, else
// that of its subject. ok is false for a subject that RFC 3463 does not have.
func Find(s mail.Status) (c Code, ok bool) {
	for _, want := range []mail.Status{s, {Subject: s.Subject, Detail: s.Detail}, {Subject: s.Subject}} {
		for _, c := range table {
			if c.Status.Subject == want.Subject && c.Status.Detail == want.Detail && (want.Class == 0 || want.Class == c.Status.Class) {
				return c, true
			}
		}
	}
	return Code{}, false
}
