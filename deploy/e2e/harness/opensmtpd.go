package harness

import (
	"fmt"
	"testing"
)

// OpenSMTPD is an instance of Debian's opensmtpd in a private root.
type OpenSMTPD struct {
	*root
	// Port is where it takes mail on loopback.
	Port int
}

// StartOpenSMTPD runs an OpenSMTPD that takes mail for known@domain (and "clear." before it), refuses
// others of that domain, and hands everything else to the server next ("port" on
// loopback), with login over STARTTLS where one is given.
func StartOpenSMTPD(t testing.TB, domain string, next int, login Login) *OpenSMTPD {
	t.Helper()
	o := &OpenSMTPD{root: newRoot(t, "opensmtpd", "opensmtpq", "vmail"), Port: Ports(t, 1)}
	o.folder("var/lib/opensmtpd/empty", "root", 0o711)
	o.folder("var/spool/smtpd", "root", 0o711)
	o.folder("mail", "vmail", 0o755)
	o.certificate("mx."+domain, "root", "etc/peer.pem", "etc/peer.key")
	o.file("etc/mailname", "mx."+domain+"\n")
	o.file("etc/login", "next "+login.User+":"+login.Password+"\n")
	relay := fmt.Sprintf("relay host \"smtp://127.0.0.1:%d\"", next)
	if login.User != "" {
		relay = fmt.Sprintf("relay host \"smtp+tls://next@127.0.0.1:%d\" tls no-verify auth <login>", next)
	}
	o.file("etc/smtpd.conf", fmt.Sprintf(`pki peer cert "/etc/peer.pem"
pki peer key "/etc/peer.key"
table login file:/etc/login
table known { "known@%[1]s" = "vmail", "known@clear.%[1]s" = "vmail" }
table here { "%[1]s", "clear.%[1]s" }
smtp max-message-size 200M
listen on 127.0.0.1 port %[2]d tls pki peer hostname mx.%[1]s
action "keep" maildir "/mail/%%{rcpt.user}" virtual <known>
action "out" %[3]s
match from any for domain <here> action "keep"
match from any for any action "out"
`, domain, o.Port, relay))
	o.start("opensmtpd", o.Port, "/usr/sbin/smtpd", "-dv", "-f", "/etc/smtpd.conf")
	return o
}

// Address is "127.0.0.1:port".
func (o *OpenSMTPD) Address() string { return loopback(o.Port) }

// Mailbox lists the messages that OpenSMTPD delivered to a local part; only
// "known" exists.
func (o *OpenSMTPD) Mailbox(local string) []string { return maildir(o.t, o.path("mail/"+local)) }
