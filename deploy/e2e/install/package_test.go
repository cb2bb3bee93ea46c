package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// A copy of this machine's root that ends with the shell: changes go to memory.
const copyOfRoot = `set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
cd "$1"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mkdir -p root/packages
cp "$2"/*.deb root/packages
exec chroot root /bin/sh -ec "$3"
`

// on runs a script in a copy of this machine's root with the packages in /packages.
func on(t *testing.T, packages, script string) harness.Result {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("packages are installed by root; run the tests as root")
	}
	cmd := exec.Command("/bin/sh", "-c", copyOfRoot, "copy", t.TempDir(), packages, script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET}
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return harness.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

// The package is installed, upgraded with the administrator's changes kept, and removed
// without the mail; its units are what systemd understands, and confined.
func TestPackage(t *testing.T) {
	t.Parallel()
	packages := t.TempDir()
	for _, version := range []string{"v1.0.0", "1.0.1"} {
		harness.Command(t, "", "env", "COMPRESSION=none", filepath.Join(harness.Root(t), "deploy", "debian", "build.sh"), version, packages).OK(t)
	}
	r := on(t, packages, `
as_node() { setpriv --reuid=postroad --regid=postroad --clear-groups "$@"; }
say() { echo "$1: $2"; }
dpkg -i /packages/postroad_1.0.0_*.deb >/dev/null
say user "$(id -un postroad) $(getent passwd postroad | cut -d: -f6,7)"
say folders "$(stat -c '%n %U:%G %a' /etc/postroad /etc/postroad/node.yaml /var/lib/postroad | tr '\n' ' ')"
say services "$(systemd-analyze verify /usr/lib/systemd/system/postroad.service /usr/lib/systemd/system/postroad-etcd.service 2>&1)"
for unit in postroad postroad-etcd; do
	systemd-analyze security --offline=true --threshold=20 /usr/lib/systemd/system/$unit.service >/dev/null || say exposed $unit
done
set +e
said=$(as_node /usr/bin/postroad node --config /etc/postroad/node.yaml 2>&1)
say fresh "$? $(echo "$said" | head -n 1)"
set -e
echo '# mine' >>/etc/postroad/node.yaml
as_node touch /var/lib/postroad/mail
dpkg -i /packages/postroad_1.0.1_*.deb >/dev/null
say upgraded "$(dpkg-query -W -f '${Version}' postroad) $(tail -n 1 /etc/postroad/node.yaml)"
say sums "$(dpkg -V postroad)"
dpkg -P postroad >/dev/null
say purged "$(ls -d /usr/bin/postroad /etc/postroad /var/lib/postroad/mail 2>/dev/null)"
`).OK(t)
	got := map[string]string{}
	for line := range strings.Lines(r.Stdout) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		got[key] = strings.TrimSpace(value)
	}
	for key, want := range map[string]string{
		"user":     "postroad /var/lib/postroad:/usr/sbin/nologin",
		"folders":  "/etc/postroad root:postroad 750 /etc/postroad/node.yaml root:postroad 640 /var/lib/postroad postroad:postroad 711",
		"services": "", // nothing to complain of
		"fresh":    "78 postroad: node configuration /etc/postroad/node.yaml: name: must be set (the name of this host's Server object)",
		"upgraded": "1.0.1 # mine",
		"sums":     "??5?????? c /etc/postroad/node.yaml",
		"purged":   "/var/lib/postroad/mail",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	if unit, ok := got["exposed"]; ok {
		t.Errorf("%s.service is less confined than systemd can do", unit)
	}
	if t.Failed() {
		t.Logf("%s\n%s", r.Stdout, r.Stderr)
	}
}
