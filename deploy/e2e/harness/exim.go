package harness

import (
	"fmt"
	"os"
	"testing"
)

// Exim is an instance of Debian's exim4-daemon-light in a private root.
type Exim struct {
	*root
	// Port is where it takes mail on loopback.
	Port int
}

// StartExim runs an Exim that takes mail for known@domain (and "clear." before it), refuses others of
// that domain, and hands everything else to the server next ("port" on
// loopback). It offers and uses all that it can: STARTTLS, AUTH PLAIN over TLS
// (user "postroad", password "peer-password"; towards next, login), DSN, CHUNKING,
// PIPELINING, SMTPUTF8, PRDR.
func StartExim(t testing.TB, domain string, next int, login Login) *Exim {
	t.Helper()
	e := &Exim{root: newRoot(t, "Debian-exim", "vmail"), Port: Ports(t, 1)}
	e.folder("etc/exim4", "root", 0o755)
	e.folder("var/spool/exim4", "Debian-exim", 0o750)
	e.folder("var/log/exim4", "Debian-exim", 0o755)
	e.folder("mail", "vmail", 0o755)
	e.certificate("mx."+domain, "Debian-exim", "etc/exim4/cert.pem", "etc/exim4/key.pem")
	e.file("etc/exim4/exim4.conf", fmt.Sprintf(`exim_path = /package/usr/sbin/exim4
primary_hostname = mx.%[1]s
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[2]d
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%%slog
log_selector = +all
message_size_limit = 200M
keep_environment =
disable_ipv6
host_lookup =
rfc1413_hosts =
helo_allow_chars = _
acl_smtp_rcpt = rcpt
acl_smtp_mail = accept
acl_smtp_vrfy = accept
acl_smtp_etrn = accept
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
prdr_enable
tls_advertise_hosts = *
tls_certificate = /etc/exim4/cert.pem
tls_privatekey = /etc/exim4/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
begin acl
rcpt:
  deny domains = %[1]s : clear.%[1]s
       message = 5.1.1 <$local_part@$domain>: nobody of that name
       !verify = recipient
  accept
begin routers
here:
  driver = accept
  domains = %[1]s : clear.%[1]s
  local_parts = known
  transport = maildir
nobody:
  driver = redirect
  domains = %[1]s : clear.%[1]s
  data = :fail: nobody of that name
  allow_fail
out:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = out
  self = send
begin transports
maildir:
  driver = appendfile
  directory = /mail/known
  maildir_format
  return_path_add
  envelope_to_add
  user = vmail
  group = vmail
  mode = 0644
  directory_mode = 0755
out:
  driver = smtp
  port = %[3]d
  hosts_try_auth = *
  tls_verify_hosts =
  tls_try_verify_hosts =
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{postroad}}{eq{$auth3}{peer-password}}}}
  server_set_id = $auth2
  client_send = %[4]s
`, domain, e.Port, next, login.exim()))
	e.start("exim4-daemon-light", e.Port, "/usr/sbin/exim4", "-bdf", "-q1s")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("exim log:\n%s", e.Log())
		}
	})
	return e
}

// Login is an account of the next hop; none when User is empty.
type Login struct{ User, Password string }

func (l Login) exim() string {
	if l.User == "" {
		return "${if eq{}{}{fail}fail}" // no client authentication
	}
	return fmt.Sprintf("<; ^%s^%s", l.User, l.Password)
}

// Address is "127.0.0.1:port".
func (e *Exim) Address() string { return loopback(e.Port) }

// Log is what Exim logged.
func (e *Exim) Log() string {
	text := ""
	for _, f := range []string{"mainlog", "rejectlog", "paniclog"} {
		b, _ := os.ReadFile(e.path("var/log/exim4/" + f))
		text += string(b)
	}
	return text
}

// Mailbox lists the messages that Exim delivered to a local part; only "known"
// exists.
func (e *Exim) Mailbox(local string) []string { return maildir(e.t, e.path("mail/"+local)) }
