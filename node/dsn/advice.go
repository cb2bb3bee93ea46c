package dsn

import (
	"github.com/postroad/postroad/node/dsn/codes"
	"github.com/postroad/postroad/node/mail"
)

// advise finds the words for a status; a subject that nobody has defined gets
// those for no reason at all.
func advise(s mail.Status) codes.Code {
	if c, ok := codes.Find(s); ok {
		return c
	}
	c, _ := codes.Find(mail.Status{Class: s.Class})
	return c
}
