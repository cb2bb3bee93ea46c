#!/bin/sh
# Installs the programs that the end-to-end tests talk to, from Debian's
# packages. It does nothing when they are there, and fails saying what is missing
# when it cannot install them.
#
# Debian allows one mail transport agent a machine. Postfix is installed; Exim and
# OpenSMTPD are only unpacked, below bin/peers, and the libraries that they need
# installed. They run in private roots (deploy/e2e/harness/root.go), which need no
# more than root's right to mount.
set -eu
cd "$(dirname "$0")/../.."

unpacked="exim4-daemon-light opensmtpd"
# swaks speaks TLS only with Net::SSLeay.
# Postfix authenticates itself with the mechanisms of libsasl2-modules.
installed="postfix libsasl2-modules dovecot-lmtpd swaks libnet-ssleay-perl msmtp fetchmail curl openssl python3 procps systemd adduser"

missing() { # PACKAGE...: those of them that are not installed
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf ' %s' "$package"
	done
}
# shellcheck disable=SC2086
need=$(missing $installed)
absent=""
for package in $unpacked; do
	[ -d bin/peers/"$package" ] || absent="$absent $package"
done
[ -n "$need$absent" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "end-to-end tests need these Debian packages:$need$absent; run deploy/e2e/peers.sh and the tests as root" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The packages' own services stay stopped: the tests start peers of their own,
# with folders and ports of their own.
policy=/usr/sbin/policy-rc.d
download=
cleanup() { [ -z "$download" ] || rm -rf "$download"; [ -z "${made:-}" ] || rm -f "$policy"; }
trap cleanup EXIT
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	made=yes
fi
echo "installing$need$absent" >&2
apt-get update -q >/dev/null
for package in $absent; do
	libraries=$(apt-cache depends --no-recommends "$package" | awk '$1 == "Depends:" && $2 ~ /^lib/ {print $2}')
	# shellcheck disable=SC2086
	need="$need$(missing $libraries)"
done
if [ -n "$need" ]; then
	# shellcheck disable=SC2086
	apt-get install -q -y --no-install-recommends $need >/dev/null
fi
for package in $absent; do
	download=$(mktemp -d)
	chmod 755 "$download"
	(cd "$download" && apt-get download -q "$package" >/dev/null 2>&1) || { echo "cannot download $package" >&2; exit 1; }
	mkdir -p bin/peers
	dpkg-deb -x "$download"/*.deb "$download"/tree
	mv "$download"/tree bin/peers/"$package" # whole or not at all
	rm -rf "$download"
	download=
done
