#!/bin/sh
# Installs the programs that the end-to-end tests talk to, from Debian's
# packages. It does nothing when they are there, and fails saying what is missing
# when it cannot install them.
set -eu

need=""
for pair in postfix:/usr/sbin/postfix dovecot-lmtpd:/usr/lib/dovecot/lmtp swaks:/usr/bin/swaks python3:/usr/bin/python3; do
	[ -e "${pair#*:}" ] || need="$need ${pair%%:*}"
done
[ -n "$need" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "end-to-end tests need these Debian packages:$need; install them as root, or run the tests as root" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The packages' own services stay stopped: the tests start peers of their own,
# with folders and ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
echo "installing$need" >&2
apt-get update -q >/dev/null
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $need >/dev/null
