package harness

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Dovecot is an instance that takes mail by LMTP into maildirs.
type Dovecot struct {
	t    testing.TB
	Port int
	dir  string
}

// StartDovecot runs Dovecot's LMTP service. Every user of the list exists;
// others are refused by LMTP, for each recipient alone.
func StartDovecot(t testing.TB, users ...string) *Dovecot {
	t.Helper()
	return StartDovecotAt(t, Ports(t, 1), users...)
}

// WithQuota is a user whose mailbox takes so many octets.
func WithQuota(user string, octets int) string {
	return fmt.Sprintf("%s:::::::userdb_quota_rule=*:bytes=%d", user, octets)
}

// StartDovecotAt runs it on a given port.
func StartDovecotAt(t testing.TB, port int, users ...string) *Dovecot {
	t.Helper()
	bin := Program(t, "/usr/sbin/dovecot")
	Program(t, "/usr/lib/dovecot/lmtp")
	dir, err := os.MkdirTemp("", "postroad-dovecot-") // reachable by Dovecot's users, see StartPostfix
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Dovecot{t: t, Port: port, dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mail := filepath.Join(dir, "mail")
	if err := os.Mkdir(mail, 0o777); err != nil {
		t.Fatal(err)
	}
	Command(t, "", "chown", "nobody", mail).OK(t)
	passwd := ""
	for _, u := range users {
		if !strings.Contains(u, ":") {
			u += "::::::"
		}
		passwd += u + "\n"
	}
	d.file("passwd", passwd)
	d.file("dovecot.conf", fmt.Sprintf(`protocols = lmtp
base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postroad-%[2]d
log_path = %[1]s/log
ssl = no
mail_location = maildir:%[1]s/mail/%%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
auth_username_format = %%Lu
postmaster_address = postmaster@dovecot.test
default_internal_user = dovecot
default_login_user = dovenull
mail_plugins = quota
plugin {
  quota = maildir:User quota
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/passwd
  override_fields = uid=nobody gid=nogroup home=%[1]s/mail/%%u
}
passdb {
  driver = static
  args = nopassword=y
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[2]d
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`, dir, d.Port))
	cmd := exec.Command(bin, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("dovecot log:\n%s", b)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	Eventually(t, 20*time.Second, func() error {
		c, err := net.Dial("tcp", d.Address())
		if err == nil {
			c.Close()
		}
		return err
	})
	return d
}

// StartDovecotAuth runs Dovecot's authentication service alone, for users with
// their passwords.
func StartDovecotAuth(t testing.TB, users map[string]string) *DovecotAuth {
	t.Helper()
	bin := Program(t, "/usr/sbin/dovecot")
	dir, err := os.MkdirTemp("", "postroad-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Dovecot{t: t, dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	passwd := ""
	for u, password := range users {
		passwd += u + ":{PLAIN.HEX}" + hex.EncodeToString([]byte(password)) + "\n"
	}
	d.file("passwd", passwd)
	d.file("dovecot.conf", fmt.Sprintf(`protocols =
base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postroad-auth-%[2]d
log_path = %[1]s/log
ssl = no
auth_mechanisms = plain login
auth_username_format = %%Lu
auth_failure_delay = 0
auth_verbose = yes
default_internal_user = dovecot
default_login_user = dovenull
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %[1]s/passwd
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0 # no growing delays: tests guess
  }
}
service auth {
  unix_listener auth-postroad {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`, dir, os.Getpid()))
	cmd := exec.Command(bin, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &DovecotAuth{d: d, stop: sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})}
	t.Cleanup(func() {
		a.Stop()
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("dovecot log:\n%s", b)
		}
	})
	Eventually(t, 20*time.Second, func() error {
		c, err := net.Dial("unix", a.AuthSocket())
		if err == nil {
			c.Close()
		}
		return err
	})
	return a
}

// DovecotAuth is an authentication service.
type DovecotAuth struct {
	d    *Dovecot
	stop func()
}

// AuthSocket is the path of its auth-client socket.
func (a *DovecotAuth) AuthSocket() string { return filepath.Join(a.d.dir, "run", "auth-postroad") }

// Stop ends it.
func (a *DovecotAuth) Stop() { a.stop() }

func (d *Dovecot) file(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// Address is "127.0.0.1:port".
func (d *Dovecot) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)) }

// Mailbox lists the messages of a user.
func (d *Dovecot) Mailbox(user string) []string {
	d.t.Helper()
	return maildir(d.t, filepath.Join(d.dir, "mail", user))
}
