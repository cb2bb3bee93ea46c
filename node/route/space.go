package route

import "github.com/postroad/postroad/node/mail"

// Space is the address space that a foreign destination counts for, that of the
// map which decides now: "SMTP:*.net".
func (r *Route) Space(d mail.Destination) string {
	if s := r.now.Load().table.Space(d.Type, d.Domain); s != "" {
		return s
	}
	return d.Type + ":*" // what the virtual server sends by itself
}
