#!/bin/sh
# Makes a Debian package of bin/, which `make deb` has built: build.sh VERSION FOLDER.
# The same commit gives the same octets (SOURCE_DATE_EPOCH). COMPRESSION is xz, or what
# dpkg-deb -Z knows.
set -eu
umask 022
version=$1 out=$2
cd "$(dirname "$0")/../.."
# Packages begin with a digit: a tag without its v, or a commit by its date.
case $version in
v[0-9]*) version=${version#v} ;;
[0-9]*.*) ;;
*) version=0~$(git show -s --date=format:%Y%m%d%H%M%S --format=%cd HEAD 2>/dev/null || echo 0).$version ;;
esac
version=$(echo "$version" | tr - .)
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git show -s --format=%ct HEAD 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
doc=$tree/usr/share/doc/postroad
install -D -t "$tree/usr/bin" bin/postroad bin/postroadctl
install -D -m 644 -t "$tree/usr/lib/systemd/system" deploy/systemd/*.service
install -D -m 640 -t "$tree/etc/postroad" deploy/debian/node.yaml
install -D -m 644 -t "$doc" docs/*.md deploy/scenarios/three-sites.yaml
install -D -m 644 deploy/debian/copyright "$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
for script in postinst prerm postrm; do
	install -D -m 755 deploy/debian/$script "$tree/DEBIAN/$script"
done
echo /etc/postroad/node.yaml >"$tree/DEBIAN/conffiles"
{
	sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" deploy/debian/control
	echo "Installed-Size: $(du -sk --apparent-size "$tree" | cut -f1)"
} >"$tree/DEBIAN/control"
(cd "$tree" && find usr -type f -printf '%P\0' | sort -z | sed -z 's,^,usr/,' | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
mkdir -p "$out"
dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" --build "$tree" "$out/postroad_${version}_$architecture.deb"
