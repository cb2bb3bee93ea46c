package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postfix is an instance of Postfix with folders and a port of its own: the
// outside world.
type Postfix struct {
	t testing.TB
	// Port is where it takes mail on loopback.
	Port int
	dir  string
}

// StartPostfix runs a Postfix that delivers mail for domain and for "clear."
// before it to maildirs in one folder, with STARTTLS for who wants it, and hands everything for the domains of routes ("domain" to
// "host:port") over to those hosts. Lines for main.cf may be added.
func StartPostfix(t testing.TB, domain string, routes map[string]string, settings ...string) *Postfix {
	t.Helper()
	Program(t, "/usr/sbin/postfix")
	// Postfix wants its folders owned by its own users and reachable by them, so
	// they cannot lie in the test's folder, which only its owner may enter.
	dir, err := os.MkdirTemp("", "postroad-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postfix{t: t, Port: Ports(t, 1), dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.write(domain, routes, settings)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("postfix log:\n%s", p.Log())
		}
		if killed := p.stop(10 * time.Second); killed > 0 {
			t.Logf("Postfix did not end when it was told to: %d processes killed", killed)
		}
	})
	// On a starved machine it has come up once without its postlogd. Whatever logs hangs then, for ever,
	// so nothing is to be expected of it but another start.
	for tries := 1; ; tries++ {
		err := p.start(20 * time.Second)
		if err == nil {
			return p
		}
		killed := p.stop(5 * time.Second)
		if tries == 3 {
			t.Fatalf("Postfix does not start: %v\n%s", err, p.Log())
		}
		t.Logf("Postfix does not start: %v; %d processes killed, trying again", err, killed)
	}
}

// start waits until Postfix takes connections, and says in its log that it does.
func (p *Postfix) start(within time.Duration) (err error) {
	Command(p.t, "", "/usr/sbin/postfix", "-c", p.path("etc"), "start").OK(p.t)
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("tcp", p.Address()); err != nil {
			continue
		}
		c.Close()
		if strings.Contains(p.Log(), "daemon started") {
			return nil
		}
		err = errors.New("nobody writes its log")
	}
	return err
}

// stop ends Postfix, and kills what has not ended in time; it returns how many that were. "postfix stop" is of no
// use here: it logs before it does anything, by way of postlogd, and hangs for as long as nobody
// takes what is logged (a starved machine, or a postlogd that master starts again after a minute only).
func (p *Postfix) stop(within time.Duration) (killed int) {
	master, err := p.master()
	if err != nil {
		return 0
	}
	// master leads the group of all that it starts, and takes them with it.
	syscall.Kill(master, syscall.SIGTERM)
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		if p.alive(master) == 0 {
			return 0
		}
	}
	killed = p.alive(master)
	syscall.Kill(-master, syscall.SIGKILL)
	for deadline := time.Now().Add(within); p.alive(master) > 0 && time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
	}
	return killed
}

// alive counts the processes of master's group.
func (p *Postfix) alive(master int) int {
	return len(strings.Fields(Command(p.t, "", "pgrep", "-r", "D,R,S,T,t,I", "-g", strconv.Itoa(master)).Stdout))
}

func (p *Postfix) master() (int, error) {
	b, err := os.ReadFile(p.path("queue", "pid", "master.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func (p *Postfix) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

// Address is "127.0.0.1:port".
func (p *Postfix) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

func (p *Postfix) write(domain string, routes map[string]string, settings []string) {
	p.t.Helper()
	for _, d := range []string{"etc", "queue", "data", "mail"} {
		if err := os.MkdirAll(p.path(d), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	// Mailboxes belong to the unprivileged user that Postfix's own package made.
	uid := strings.TrimSpace(Command(p.t, "", "id", "-u", "nobody").OK(p.t).Stdout)
	gid := strings.TrimSpace(Command(p.t, "", "id", "-g", "nobody").OK(p.t).Stdout)
	Command(p.t, "", "chown", "postfix", p.path("data")).OK(p.t)
	Command(p.t, "", "chown", uid+":"+gid, p.path("mail")).OK(p.t)

	var transport strings.Builder
	var relayed []string
	for d, to := range routes {
		host, port, err := net.SplitHostPort(to)
		if err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&transport, "/@%s$/ smtp:[%s]:%s\n", strings.ReplaceAll(d, ".", "\\."), host, port)
		relayed = append(relayed, d)
	}
	Certificate(p.t, "mx."+domain, p.path("etc", "cert.pem"), p.path("etc", "key.pem"))
	p.file("transport", transport.String())
	p.file("vmailbox", "/^known@/ known/\n")
	p.file("main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.%[2]s
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
virtual_mailbox_domains = %[2]s, clear.%[2]s
smtpd_tls_cert_file = %[1]s/etc/cert.pem
smtpd_tls_key_file = %[1]s/etc/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = may
message_size_limit = 200000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = regexp:%[1]s/etc/vmailbox
virtual_uid_maps = static:%[3]s
virtual_gid_maps = static:%[4]s
virtual_minimum_uid = 1
relay_domains = %[5]s
transport_maps = regexp:%[1]s/etc/transport
smtp_host_lookup = native
smtp_dns_support_level = disabled
disable_dns_lookups = yes
notify_classes =
minimal_backoff_time = 1s
maximal_backoff_time = 5s
queue_run_delay = 1s
%[6]s
`, p.dir, domain, uid, gid, strings.Join(relayed, ","), strings.Join(settings, "\n")))
	p.file("master.cf", fmt.Sprintf(`127.0.0.1:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, p.Port))
}

func (p *Postfix) file(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path("etc", name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Log is what Postfix logged.
func (p *Postfix) Log() string {
	b, _ := os.ReadFile(p.path("log"))
	return string(b)
}

// Mailbox lists the messages that Postfix delivered to a local part; only
// "known" exists.
func (p *Postfix) Mailbox(local string) []string {
	p.t.Helper()
	return maildir(p.t, p.path("mail", local))
}

// Empty deletes all messages that wait.
func (p *Postfix) Empty() {
	p.t.Helper()
	Command(p.t, "", "/usr/sbin/postsuper", "-c", p.path("etc"), "-d", "ALL").OK(p.t)
}

// Processes are the master's id and those of all processes that it started.
func (p *Postfix) Processes() []int {
	p.t.Helper()
	master, err := p.master()
	if err != nil {
		p.t.Fatal(err)
	}
	pids := []int{}
	for _, f := range append(strings.Fields(Command(p.t, "", "pgrep", "-P", strconv.Itoa(master)).Stdout), strconv.Itoa(master)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
