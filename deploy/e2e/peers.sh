#!/bin/sh
# Installs the programs that the end-to-end tests talk to, from Debian's
# packages. It does nothing when they are there, and fails saying what is missing
# when it cannot install them.
set -eu

# swaks speaks TLS only with Net::SSLeay.
need=""
for package in postfix dovecot-lmtpd swaks libnet-ssleay-perl python3 procps; do
	dpkg-query -W -f '${db:Status-Status}\n' $package 2>/dev/null | grep -qx installed || need="$need $package"
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
